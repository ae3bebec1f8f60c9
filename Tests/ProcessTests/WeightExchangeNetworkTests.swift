import Foundation
import TestSupport
import Testing

/// Real workers on hosts of their own, with keys, that fetch each step's weights from each other while one is off the
/// network and one lets nobody in: the bits are those of a run on one host, and nobody waits for long.
@Suite(
  .serialized, .ownThreads,
  .enabled(if: VirtualHosts.unavailable == nil, "\(VirtualHosts.unavailable ?? "")"))
struct WeightExchangeNetworkTests {
  private static let workers = ["worker-1", "worker-2", "worker-3"]
  private static let steps = 60
  /// A network of several chunks.
  private static let recipe = [
    "--head-hidden-dim", "512", "--max-steps", "\(steps)", "--keep-checkpoints", "1", "--checkpoint-every-steps", "20",
  ]

  private let workshop: Workshop
  private let hosts: VirtualHosts
  private let keys: [String: String]

  init() throws {
    workshop = try Workshop()
    hosts = try VirtualHosts(["coordinator"] + Self.workers, megabits: 400)
    let folder = workshop.folder
    var keys: [String: String] = [:]
    for name in ["coordinator"] + Self.workers {
      let made = try Program.run(["keygen", "--out", "\(folder)/\(name).key"])
      #expect(made.status == 0, "\(made)")
      keys[name] = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    self.keys = keys
    try allow(keys.keys, in: "all.txt")
    try allow(keys.keys.filter { $0 != "coordinator" }, in: "workers.txt")
  }

  private func allow(_ names: some Sequence<String>, in file: String) throws {
    try names.compactMap { keys[$0] }.joined(separator: "\n")
      .write(toFile: "\(workshop.folder)/\(file)", atomically: true, encoding: .utf8)
  }

  /// A process on the host of its name.
  private func start(_ name: String, _ arguments: [String], allowing file: String = "all.txt") throws -> Process {
    try Program.start(
      arguments + ["--key", "\(workshop.folder)/\(name).key", "--allowed-keys", "\(workshop.folder)/\(file)"],
      log: "\(workshop.folder)/\(name).log", through: hosts.within(name))
  }

  /// What leads to it.
  private var coordinator: [String] {
    ["--coordinator", "tcp://\(hosts.address("coordinator")):5570", "--coordinator-key", keys["coordinator"] ?? ""]
  }

  private func worker(_ name: String, allowing file: String = "all.txt", _ extra: [String] = []) throws -> Process {
    try start(
      name,
      [
        "worker", "--threads", "1", "--host", name, "--data", workshop.data,
      ] + coordinator + extra, allowing: file)
  }

  private func log(_ name: String) -> String {
    (try? String(contentsOfFile: "\(workshop.folder)/\(name).log", encoding: .utf8)) ?? ""
  }

  private var logs: String { (["coordinator"] + Self.workers).map { "\($0): \(log($0).suffix(1500))" }.joined() }

  private var records: String {
    (try? String(contentsOfFile: workshop.run("apart") + "/metrics.jsonl", encoding: .utf8)) ?? ""
  }

  private var stepsDone: Int { records.count { $0 == "\n" } }

  private func await(_ what: String, _ condition: () -> Bool) throws {
    let cameAbout = eventually(within: 40, condition)
    try #require(cameAbout, "\(what) did not come about\n\(logs)")
  }

  private var sources: Int {
    // Each look is a process that computes beside the workers.
    Thread.sleep(forTimeInterval: 0.2)
    let ended = try? Program.run(
      ["status", "--json"] + coordinator + ["--key", "\(workshop.folder)/worker-1.key"],
      through: hosts.within("coordinator"))
    let status = try? JSONSerialization.jsonObject(with: Data((ended?.output ?? "").utf8)) as? [String: Any]
    return status?["weight_sources"] as? Int ?? 0
  }

  @Test func hostsThatComeAndGoOrLetNobodyInChangeNothing() throws {
    #expect(try Program.run(workshop.arguments("calm") + Self.recipe).status == 0)
    let coordinator = try start(
      "coordinator",
      workshop.coordinator("apart", "tcp://\(hosts.address("coordinator")):5570") + Self.recipe
        + ["--exchange", "always"])
    var processes = [coordinator]
    // Each listens at its address towards the coordinator, the second because it listens at all of its own.
    processes.append(try worker("worker-1"))
    processes.append(try worker("worker-2", ["--listen", "tcp://0.0.0.0:5580"]))
    processes.append(try worker("worker-3", allowing: "workers.txt"))
    // The third is none.
    try self.await("sources of weights") { sources >= 2 || !coordinator.isRunning }
    #expect(log("worker-2").contains("Gives weights to other workers at tcp://\(hosts.address("worker-2")):5580"))
    try self.await("a word about who lets nobody in") {
      log("coordinator").contains("cannot be reached at tcp://\(hosts.address("worker-3")):")
    }
    let before = stepsDone
    try hosts.unplug("worker-2")
    let unplugged = Date().timeIntervalSince1970
    try self.await("steps without the second") { stepsDone >= before + 2 || !coordinator.isRunning }
    try #require(coordinator.isRunning, "the run ended before the second was back")
    try hosts.plugIn("worker-2")
    try self.await("the end of the run") { !coordinator.isRunning }
    // The second may not have heard of it, and waits for the next coordinator.
    processes[2].terminate()
    try self.await("the end of all processes") { processes.allSatisfy { !$0.isRunning } }
    for (process, name) in zip(processes, ["coordinator"] + Self.workers) {
      #expect(process.terminationStatus == 0, "\(name): \(log(name).suffix(1500))")
    }
    #expect(
      try workshop.digests("apart", step: Self.steps) == workshop.digests("calm", step: Self.steps))
    let gaps = StepGaps(records: records, deaths: [])
    #expect(
      (gaps.usual.max() ?? 0) < 8, "\(gaps), unplugged at \(unplugged), holes \(gaps.holes)")
  }
}
