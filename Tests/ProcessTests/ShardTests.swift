import Foundation
import TestSupport
import Testing

/// Real processes: wherever the memory's rows are, and whatever becomes of who holds them, the bits are the same.
@Suite(.serialized) struct ShardTests {
  let workshop: Workshop
  /// Small files, so that a short run has many: twelve in the memory of a step.
  static let recipe = [
    "--extent-rows", "32", "--memory-size", "384", "--max-steps", "40", "--checkpoint-every-steps", "3",
  ]

  init() throws { workshop = try Workshop() }

  private func coordinator(_ run: String, _ extra: [String] = []) throws -> Process {
    try Program.start(
      workshop.coordinator(run, "tcp://127.0.0.1:0") + Self.recipe + extra, log: workshop.folder + "/\(run).log")
  }

  private func worker(_ address: String) throws -> Process {
    try Program.start(["worker", "--coordinator", address, "--threads", "1", "--row-cache", "0"])
  }

  private func shard(_ address: String, _ name: String) throws -> Process {
    try Program.start(
      [
        "memory", "--coordinator", address, "--capacity", "64MiB", "--directory", workshop.folder + "/\(name)",
        "--host", name,
      ], log: workshop.folder + "/\(name).log")
  }

  private func list(_ address: String) throws -> [String: Any] {
    let ended = try Program.run(["memory", "list", "--coordinator", address, "--json"])
    return try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any])
  }

  private func extents(_ name: String) -> Int {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: workshop.folder + "/\(name)")) ?? []
    return names.count { $0.hasPrefix("rows-") && !$0.contains("part") }
  }

  private func await(_ what: String, _ condition: () throws -> Bool) throws {
    let end = Date() + 30
    while try !condition() {
      try #require(Date() < end, "\(what) did not come about")
      Thread.sleep(forTimeInterval: 0.05)
    }
  }

  /// Trains without shards to the middle of the run: from there on there are rows to move, at whatever pace.
  private func begin(_ run: String, _ flags: [String] = []) throws {
    #expect(try Program.run(workshop.arguments(run) + Self.recipe + ["--max-steps", "30"] + flags).status == 0)
  }

  private func calm() throws -> [String] {
    #expect(try Program.run(workshop.arguments("calm") + Self.recipe).status == 0)
    return try workshop.digests("calm", step: 40)
  }

  @Test func digestsDoNotDependOnWhoHoldsTheRows() throws {
    let expected = try calm()
    for (run, count, replicas) in [("one", 1, "1"), ("two", 3, "2")] {
      try begin(run)
      let owner = try coordinator(run, ["--memory-replicas", replicas])
      let address = try workshop.address(run)
      let shards = try (0..<count).map { try shard(address, "\(run)-\($0)") }
      func moved() -> Int { (0..<count).reduce(0) { $0 + extents("\(run)-\($1)") } }
      try self.await("rows in the shards") { moved() > 8 }
      let computing = try worker(address)
      owner.waitUntilExit()
      computing.waitUntilExit()
      for process in shards { process.waitUntilExit() }
      #expect(owner.terminationStatus == 0 && shards.allSatisfy { $0.terminationStatus == 0 })
      #expect(try workshop.digests(run, step: 40) == expected, "\(count) shards")
      #expect(moved() > 8, "rows did move")
    }
  }

  @Test func aShardIsKilledOneJoinsAndOneIsDrained() throws {
    let expected = try calm()
    try begin("moved")
    let owner = try coordinator("moved", ["--memory-replicas", "1"])
    let address = try workshop.address("moved")
    let first = try shard(address, "first")
    try self.await("rows in the first shard") { extents("first") >= 3 }
    // Killed, and started again with its directory.
    kill(first.processIdentifier, SIGKILL)
    first.waitUntilExit()
    let again = try shard(address, "first")
    // Another joins, and the first is sent away.
    let second = try shard(address, "second")
    try self.await("both shards") {
      ((try list(address)["shards"] as? [[String: Any]]) ?? []).count { $0["state"] as? String == "present" } == 2
    }
    let drained = try Program.run(["memory", "drain", "first", "--coordinator", address])
    #expect(drained.status == 0, "\(drained)")
    let computing = try worker(address)
    again.waitUntilExit()
    #expect(again.terminationStatus == 0)
    owner.waitUntilExit()
    computing.waitUntilExit()
    second.waitUntilExit()
    #expect(try workshop.digests("moved", step: 40) == expected)
    let log = try String(contentsOfFile: workshop.folder + "/moved.log", encoding: .utf8)
    #expect(owner.terminationStatus == 0, "\(log.suffix(800))")
  }

  /// Trains with a shard that has most rows in the end.
  private func runWithAShard(_ run: String, _ flags: [String] = [], workers: (String) throws -> [Process]) throws {
    // A start from an older checkpoint would append to files, which stay for it.
    try begin(run, ["--keep-checkpoints", "1"])
    let before = extents("\(run)/memory")
    let owner = try coordinator(run, ["--keep-checkpoints", "3"] + flags)
    let address = try workshop.address(run)
    let holder = try shard(address, "\(run)-shard")
    try self.await("rows in the shard") { extents("\(run)-shard") > 8 }
    try self.await("files that the coordinator lets go of") { extents("\(run)/memory") <= before - 8 }
    let computing = try workers(address)
    for process in [owner, holder] + computing { process.waitUntilExit() }
    #expect(owner.terminationStatus == 0 && holder.terminationStatus == 0)
  }

  @Test func replayAndForkReadRowsFromShardsDirectories() throws {
    try runWithAShard("held") { [try worker($0)] }
    let shard = workshop.folder + "/held-shard"
    let replay = ["replay", "--run", workshop.run("held"), "--data", workshop.data, "--step", "39", "--json"]
    let fork = ["fork", "--run", workshop.run("held"), "--to", workshop.run("forked")]
    for command in [replay, fork] {
      let ended = try Program.run(command)
      #expect(
        ended.status == 64 && ended.errors.contains("the run has them on memory shards 'held-shard' ("), "\(ended)")
      #expect(ended.errors.contains("rows ") && ended.errors.contains("--shard"), "\(ended)")
      let wrong = try Program.run(command + ["--shard", workshop.data])
      #expect(wrong.status == 64 && wrong.errors.contains("holds no memory shard"), "\(wrong)")
    }
    let again = try Program.run(replay + ["--shard", shard])
    #expect(again.status == 0, "\(again)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(again.output.utf8)) as? [String: Any])
    let total = try #require(report["total"] as? [String: Any])
    #expect(try ["student", "teacher", "memory"].map { total[$0] as? String } == calm())
    #expect(try Program.run(fork + ["--shard", shard]).status == 0)
    let inspected = try Program.run(["inspect", workshop.run("forked")])
    #expect(inspected.status == 0, "\(inspected)")
  }

  @Test func theJudgeOfAnAuditReadsRowsFromShards() throws {
    try runWithAShard("judged", ["--audit-rate", "1", "--row-cache", "0"]) { address in
      [try worker(address)]
    }
    let log = try String(contentsOfFile: workshop.folder + "/judged.log", encoding: .utf8)
    #expect(!log.contains("could not be computed by the coordinator"), "\(log.suffix(2000))")
    #expect(try workshop.digests("judged", step: 40) == calm())
  }

  @Test func whatCannotBeAShardSaysSo() throws {
    let owner = try coordinator("strict")
    defer { owner.terminate() }
    let address = try workshop.address("strict")
    func refused(_ directory: String, _ capacity: String = "1MiB") throws -> Program.Ended {
      try Program.run([
        "memory", "--coordinator", address, "--capacity", capacity, "--directory", workshop.folder + "/" + directory,
      ])
    }
    let foreign = try refused("train")
    #expect(foreign.status == 64 && foreign.errors.contains("holds no memory shard"), "\(foreign)")
    let greedy = try refused("greedy", "4000TiB")
    #expect(greedy.status == 64 && greedy.errors.contains("Offer less"), "\(greedy)")
    let nobody = try Program.run(["memory", "drain", "nobody", "--coordinator", address])
    #expect(nobody.status == 64 && nobody.errors.contains("nobody"), "\(nobody)")

    let one = try shard(address, "same")
    try self.await("the shard") { (try list(address)["shards"] as? [Any])?.count == 1 }
    let twice = try refused("same")
    #expect(twice.status == 75 && twice.errors.contains("shard.lock"), "\(twice)")
    one.terminate()
    one.waitUntilExit()
    #expect(one.terminationStatus == 0)

    // Another run's rows.
    let other = try coordinator("other")
    defer { other.terminate() }
    let strange = try Program.run([
      "memory", "--coordinator", try workshop.address("other"), "--capacity", "1MiB", "--directory",
      workshop.folder + "/same",
    ])
    #expect(strange.status == 65 && strange.errors.contains("another run"), "\(strange)")
  }
}
