import Foundation
import TestSupport
import Testing

/// Real workers on hosts of their own that add up each other's gradients, until what one sends to another does not arrive:
/// the bits are those of a run on one host, and steps go on.
@Suite(
  .serialized, .ownThreads,
  .enabled(if: VirtualHosts.unavailable == nil, "\(VirtualHosts.unavailable ?? "")"))
struct GradientExchangeNetworkTests {
  private static let workers = ["worker-1", "worker-2", "worker-3"]
  private static let steps = 80
  private static let recipe = [
    "--head-hidden-dim", "512", "--slice-size", "2", "--max-steps", "\(steps)", "--keep-checkpoints", "1",
    "--checkpoint-every-steps", "10",
  ]

  private let workshop: Workshop
  private let hosts: VirtualHosts

  init() throws {
    workshop = try Workshop()
    hosts = try VirtualHosts(["coordinator"] + Self.workers, megabits: 400)
  }

  /// A process on the host of its name.
  private func start(_ name: String, _ arguments: [String]) throws -> Process {
    try Program.start(
      arguments + ["--insecure"], log: "\(workshop.folder)/\(name).log", through: hosts.within(name))
  }

  private var logs: String {
    (["coordinator"] + Self.workers).map { "\($0): \(workshop.log($0).suffix(1500))\n" }.joined()
  }

  /// Read from its file: a process that asks computes beside the workers, and the run is short.
  private var isReduced: Bool {
    let metrics = try? String(contentsOfFile: workshop.run("apart") + "/metrics.jsonl", encoding: .utf8)
    return metrics?.split(separator: "\n").contains { !$0.contains("\"reduce_seconds\":null") } ?? false
  }

  private func await(_ what: String, _ condition: () -> Bool) throws {
    let cameAbout = eventually(within: 60, condition)
    try #require(cameAbout, "\(what) did not come about\n\(logs)")
  }

  @Test func whatDoesNotArriveOneWayChangesNoBits() throws {
    #expect(try Program.run(workshop.arguments("calm") + Self.recipe).status == 0)
    let address = "tcp://\(hosts.address("coordinator")):5570"
    let coordinator = try start(
      "coordinator", workshop.coordinator("apart", address) + Self.recipe + ["--exchange", "always"])
    let workers = try Self.workers.map { name in
      try start(
        name, ["worker", "--threads", "1", "--host", name, "--data", workshop.data, "--coordinator", address])
    }
    try self.await("a step that is reduced") { isReduced }
    try hosts.cut(from: "worker-1", to: "worker-2")
    for process in [coordinator] + workers { #expect(try process.exit() == 0, "\(logs)") }
    #expect(try workshop.digests("apart", step: Self.steps) == workshop.digests("calm", step: Self.steps))
  }
}
