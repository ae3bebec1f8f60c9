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
  private func begin(_ run: String) throws {
    #expect(try Program.run(workshop.arguments(run) + Self.recipe + ["--max-steps", "30"]).status == 0)
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

  /// What `massl bench memory` fills is a run like any other, and what its rows cost is seen.
  @Test func aFilledMemoryIsTrainedOnAndItsRowsAreCounted() throws {
    var digests: [[String]] = []
    for count in [1, 2] {
      let folder = "filled-\(count)"
      let filled = try Program.run(
        [
          "bench", "memory", "--fill", "1K", "--shards", "\(count)", "--directory", workshop.folder + "/" + folder,
          "--data", workshop.data,
        ] + Workshop.recipe + ["--extent-rows", "128", "--max-steps", "4", "--blocks-per-step", "2"])
      #expect(filled.status == 0, "\(filled)")
      let owner = try Program.start([
        "coordinator", "--data", workshop.data, "--run", workshop.run("\(folder)/run"), "--listen",
        "tcp://127.0.0.1:0",
      ])
      let address = try workshop.address("\(folder)/run")
      let shards = try (0..<count).map { try shard(address, "\(folder)/shard-\($0)") }
      let computing = try worker(address)
      for process in [owner, computing] + shards {
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
      }
      digests.append(Array(try workshop.digests("\(folder)/run", step: 4).prefix(2)))
      let status = try Program.run(["status", "--run", workshop.run("\(folder)/run"), "--json"])
      let object = try #require(try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any])
      // Two blocks of 64, none kept; every row is stored somewhere.
      #expect(object["rows_fetched"] as? Int == 128 && object["rows_cached"] as? Int == 0)
      #expect(object["row_wait_seconds"] as? Double ?? -1 >= 0)
    }
    #expect(digests[0] == digests[1])
  }
}
