import Foundation
import Glibc
import TestSupport
import Testing

/// Real workers that fetch each step's weights from each other: whoever is killed, stopped, cut off or not reached, the
/// bits are those of one worker that has them from the coordinator.
@Suite(.serialized) struct WeightExchangeTests {
  static let steps = 120
  /// A network of five chunks.
  static let recipe = [
    "--head-hidden-dim", "1024", "--max-steps", "\(steps)", "--keep-checkpoints", "1", "--checkpoint-every-steps", "20",
  ]

  private let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func calm() throws -> [String] {
    #expect(try Program.run(workshop.arguments("calm") + Self.recipe).status == 0)
    return try workshop.digests("calm", step: Self.steps)
  }

  private func coordinator(_ run: String, exchange: String = "always") throws -> (process: Process, address: String) {
    let process = try Program.start(
      workshop.coordinator(run, "tcp://127.0.0.1:0") + Self.recipe + ["--exchange", exchange],
      log: "\(workshop.folder)/\(run).log")
    return (process, try workshop.address(run))
  }

  /// A worker of this machine, as if of a host of its own.
  private func worker(_ host: String, _ address: String, _ extra: [String] = []) throws -> Process {
    try Program.start(
      ["worker", "--coordinator", address, "--threads", "1", "--host", host, "--data", workshop.data] + extra,
      log: "\(workshop.folder)/\(host).log")
  }

  private static let listening = ["--listen", "tcp://127.0.0.1:0"]

  private func log(_ name: String) -> String {
    (try? String(contentsOfFile: "\(workshop.folder)/\(name).log", encoding: .utf8)) ?? ""
  }

  private func status(_ run: String) throws -> [String: Any] {
    let ended = try Program.run(["status", "--run", workshop.run(run), "--json"])
    let status = try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any]
    return status ?? [:]
  }

  private func sources(_ run: String) -> Int { (try? status(run)["weight_sources"] as? Int) ?? 0 }

  private func stepsDone(_ run: String) -> Int {
    let metrics = (try? String(contentsOfFile: workshop.run(run) + "/metrics.jsonl", encoding: .utf8)) ?? ""
    return metrics.count { $0 == "\n" }
  }

  private func end(_ coordinator: Process, _ workers: [Process]) throws {
    #expect(try coordinator.exit() == 0)
    for worker in workers { try worker.exit() }
  }

  @Test func weightsOfEachOtherGiveTheSameBits() throws {
    let expected = try calm()
    let (coordinator, address) = try coordinator("apart")
    let workers = try ["a", "b", "c"].map { try worker($0, address, Self.listening) }
    try #require(eventually(within: 40) { sources("apart") == 3 }, "\(log("apart").suffix(1500))")
    try end(coordinator, workers)
    #expect(try workshop.digests("apart", step: Self.steps) == expected)
    for host in ["a", "b", "c"] {
      #expect(log(host).contains("Gives weights to other workers at tcp://127.0.0.1:"))
      #expect(!log(host).contains("do not answer") && !log(host).contains("other bits"), "\(log(host))")
    }
  }

  @Test func whoIsKilledStoppedOrNotReachedChangesNothing() throws {
    let expected = try calm()
    let (coordinator, address) = try coordinator("troubled")
    // The port of d leads nowhere.
    var workers = try ["a", "b", "c"].map { try worker($0, address, Self.listening) }
    workers.append(try worker("d", address, Self.listening + ["--advertise", "tcp://127.0.0.1:9"]))
    try #require(eventually(within: 40) { sources("troubled") == 3 }, "\(log("troubled").suffix(1500))")
    let cannot = "cannot be reached at tcp://127.0.0.1:9"
    #expect(eventually(within: 20) { log("troubled").contains(cannot) })
    // One is killed in the middle, and comes back; one stands still for longer than it is waited for.
    kill(workers[0].processIdentifier, SIGKILL)
    kill(workers[1].processIdentifier, SIGSTOP)
    let before = stepsDone("troubled")
    #expect(eventually(within: 30) { stepsDone("troubled") > before + 3 || !coordinator.isRunning }, "steps go on")
    kill(workers[1].processIdentifier, SIGCONT)
    workers[0] = try worker("a", address, Self.listening)
    try end(coordinator, workers)
    #expect(try workshop.digests("troubled", step: Self.steps) == expected)
  }

  @Test func aRunOnOneHostExchangesNothing() throws {
    let (coordinator, address) = try coordinator("alone", exchange: "automatic")
    let workers = try [0, 1].map { _ in try worker("a", address, Self.listening) }
    try #require(eventually(within: 40) { stepsDone("alone") > 10 })
    #expect(sources("alone") == 0)
    let reached = (try status("alone")["workers"] as? [[String: Any]])?.compactMap { $0["is_reached"] as? Bool }
    #expect(reached == [false, false], "nobody is asked")
    try end(coordinator, workers)
  }
}
