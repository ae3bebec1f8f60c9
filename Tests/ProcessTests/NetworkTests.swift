import Foundation
import TestSupport
import Testing

/// Real processes on hosts of their own, with keys, over network cards of a limited rate: the bits are those of a run
/// whose memory is in the coordinator.
@Suite(
  .serialized, .ownThreads,
  .enabled(if: VirtualHosts.unavailable == nil, "\(VirtualHosts.unavailable ?? "")"))
struct NetworkTests {
  private let workshop: Workshop
  private let hosts: VirtualHosts
  private let coordinatorKey: String
  private static let shards = ["shard-1", "shard-2", "shard-3"]
  private static let workers = ["worker-1", "worker-2"]
  private static let steps = 160
  /// Twelve extents in the memory of a step.
  private static let recipe = [
    "--extent-rows", "32", "--memory-size", "384", "--max-steps", "\(steps)", "--checkpoint-every-steps", "5",
  ]

  init() throws {
    workshop = try Workshop()
    hosts = try VirtualHosts(["coordinator"] + Self.workers + Self.shards, megabits: 400)
    let folder = workshop.folder
    func key(_ name: String) throws -> String {
      let made = try Program.run(["keygen", "--out", "\(folder)/\(name).key"])
      #expect(made.status == 0, "\(made)")
      return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    coordinatorKey = try key("coordinator")
    let keys = try [coordinatorKey] + (Self.workers + Self.shards).map(key)
    try keys.joined(separator: "\n").write(toFile: "\(folder)/allowed.txt", atomically: true, encoding: .utf8)
  }

  private func calm() throws -> [String] {
    #expect(try Program.run(workshop.arguments("calm") + Self.recipe).status == 0)
    return try workshop.digests("calm", step: Self.steps)
  }

  /// A process on the host of its name.
  private func start(_ name: String, _ arguments: [String]) throws -> Process {
    try Program.start(
      arguments + ["--key", "\(workshop.folder)/\(name).key"], log: "\(workshop.folder)/\(name).log",
      through: hosts.within(name))
  }

  private func log(_ name: String) -> String {
    let text = (try? String(contentsOfFile: "\(workshop.folder)/\(name).log", encoding: .utf8)) ?? ""
    return "\(name): \(text.suffix(1500))"
  }

  private func stepsDone(_ run: String) -> Int {
    let metrics = (try? String(contentsOfFile: workshop.run(run) + "/metrics.jsonl", encoding: .utf8)) ?? ""
    return metrics.count { $0 == "\n" }
  }

  private func await(_ what: String, _ condition: () throws -> Bool) throws {
    let cameAbout = try eventually(within: 40, condition)
    let logs = (["coordinator"] + Self.workers + Self.shards).map(log).joined(separator: "\n")
    try #require(cameAbout, "\(what) did not come about\n\(logs)")
  }

  /// Trains to the middle of the run on one host, the rest on six.
  /// - Parameter disturb: called once the workers have begun; returns the shard that it cut off meanwhile, if any.
  private func train(_ run: String, replicas: Int, disturb: () throws -> String? = { nil }) throws {
    // With one checkpoint, for a start from an older one would append to files, which stay for it.
    let begun = workshop.arguments(run) + Self.recipe + ["--max-steps", "30", "--keep-checkpoints", "1"]
    #expect(try Program.run(begun).status == 0)
    let address = "tcp://\(hosts.address("coordinator")):5570"
    let trusted = ["--coordinator", address, "--coordinator-key", coordinatorKey]
    let allowed = ["--allowed-keys", workshop.folder + "/allowed.txt"]
    var processes = [
      try start(
        "coordinator",
        workshop.coordinator(run, "tcp://0.0.0.0:5570") + Self.recipe + allowed + [
          "--memory-replicas", "\(replicas)", "--row-cache", "0",
        ])
    ]
    // What a failed test leaves ends with its hosts.
    processes += try Self.shards.map { name in
      try start(
        name,
        ["memory", "--capacity", "64MiB", "--directory", workshop.folder + "/\(name)", "--host", name] + trusted
          + allowed + ["--listen", "tcp://0.0.0.0:5580", "--advertise", "tcp://\(hosts.address(name)):5580"])
    }
    // The coordinator lets go of them: workers can have them from shards alone.
    try self.await("rows in the shards alone") { workshop.extents(in: run + "/memory").isEmpty }
    processes += try Self.workers.map { name in
      try start(name, ["worker", "--threads", "1", "--row-cache", "0", "--host", name] + trusted)
    }
    let cut = try disturb()
    try self.await("the end of the run") { !processes[0].isRunning }
    // One that the network had cut off may not have heard of it, and waits for the next coordinator.
    if let cut { processes[1 + (Self.shards.firstIndex(of: cut) ?? 0)].terminate() }
    try self.await("the end of all processes") { processes.allSatisfy { !$0.isRunning } }
    for (process, name) in zip(processes, ["coordinator"] + Self.shards + Self.workers) {
      #expect(process.terminationStatus == 0, "\(log(name))")
    }
  }

  @Test func sixHostsTrainWhatOneDoes() throws {
    try train("apart", replicas: 2)
    #expect(try workshop.digests("apart", step: Self.steps) == calm())
  }

  @Test func stepsWaitForAHostThatIsOffTheNetwork() throws {
    try train("cut", replicas: 1) {
      try self.await("steps with the shards' rows") { stepsDone("cut") >= 34 }
      // Whoever comes first may have them all.
      let fullest =
        Self.shards.max { workshop.extents(in: $0).count < workshop.extents(in: $1).count } ?? Self.shards[0]
      try hosts.unplug(fullest)
      // What was fetched ahead is still computed; then every step needs rows of every extent.
      try self.await("a second without a step") {
        let before = stepsDone("cut")
        Thread.sleep(forTimeInterval: 1)
        try #require(before < Self.steps, "the run ended without those rows")
        return stepsDone("cut") == before
      }
      try hosts.plugIn(fullest)
      return fullest
    }
    #expect(try workshop.digests("cut", step: Self.steps) == calm())
  }
}
