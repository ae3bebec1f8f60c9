import Foundation
import TestSupport
import Testing

/// Real processes: wherever the memory's rows are, the bits are the same.
@Suite(.serialized, .ownThreads) struct ShardTests {
  let runs: ShardedRuns

  init() throws { runs = try ShardedRuns() }

  @Test func digestsDoNotDependOnWhoHoldsTheRows() throws {
    for (run, count, replicas) in [("one", 1, "1"), ("two", 3, "2"), ("four", 4, "1")] {
      try runs.begin(run)
      let owner = try runs.coordinator(run, ["--memory-replicas", replicas])
      let address = try runs.workshop.address(run)
      let shards = try (0..<count).map { try runs.shard(address, "\(run)-\($0)") }
      func moved() -> Int { (0..<count).reduce(0) { $0 + runs.files("\(run)-\($1)").count } }
      try runs.await("rows in the shards") { moved() > 8 }
      let computing = try runs.worker(address)
      try owner.exit()
      try computing.exit()
      for process in shards { try process.exit() }
      #expect(owner.terminationStatus == 0 && shards.allSatisfy { $0.terminationStatus == 0 })
      #expect(try runs.workshop.digests(run, step: 40) == runs.expected(), "\(count) shards")
      #expect(moved() > 8, "rows did move")
    }
  }

  @Test func aShardIsKilledOneJoinsAndOneIsDrained() throws {
    try runs.begin("moved")
    let owner = try runs.coordinator("moved", ["--memory-replicas", "1"])
    let address = try runs.workshop.address("moved")
    let first = try runs.shard(address, "first")
    try runs.await("rows in the first shard") { runs.files("first").count >= 3 }
    // Killed, and started again with its directory.
    kill(first.processIdentifier, SIGKILL)
    try first.exit()
    let again = try runs.shard(address, "first")
    // Another joins, and the first is sent away.
    let second = try runs.shard(address, "second")
    try runs.await("both shards") {
      try runs.shards(address).count { $0["state"] as? String == "present" } == 2
    }
    let cancelled = try Program.run(["memory", "drain", "first", "--cancel", "--coordinator", address])
    #expect(cancelled.status == 64 && cancelled.errors.contains("'first' is not being drained"), "\(cancelled)")
    let drained = try Program.run(["memory", "drain", "first", "--coordinator", address])
    #expect(drained.status == 0, "\(drained)")
    let computing = try runs.worker(address)
    #expect(try again.exit() == 0)
    try owner.exit()
    try computing.exit()
    try second.exit()
    #expect(try runs.workshop.digests("moved", step: 40) == runs.expected())
    #expect(owner.terminationStatus == 0, "\(runs.log("moved").suffix(800))")
  }

  /// Trains with a shard that has most rows in the end.
  private func runWithAShard(_ run: String, _ flags: [String] = [], workers: (String) throws -> [Process]) throws {
    try runs.begin(run)
    let owner = try runs.coordinator(run, ["--keep-checkpoints", "3"] + flags)
    let address = try runs.workshop.address(run)
    let holder = try runs.shard(address, "\(run)-shard")
    try runs.await("rows in the shard") { runs.files("\(run)-shard").count > 8 }
    try runs.awaitRelease(address)
    let computing = try workers(address)
    for process in [owner, holder] + computing { try process.exit() }
    #expect(owner.terminationStatus == 0 && holder.terminationStatus == 0)
  }

  @Test func replayAndForkReadRowsFromShardsDirectories() throws {
    try runWithAShard("held") { [try runs.worker($0)] }
    let shard = runs.workshop.folder + "/held-shard"
    let replay = [
      "replay", "--run", runs.workshop.run("held"), "--data", runs.workshop.data, "--step", "39", "--json",
    ]
    let fork = ["fork", "--run", runs.workshop.run("held"), "--to", runs.workshop.run("forked")]
    let neighbours = [
      "visualize", "neighbours", "--run", runs.workshop.run("held"), "--data", runs.workshop.data, "--out",
      runs.workshop.folder + "/n.png", runs.workshop.onePicture,
    ]
    for command in [replay, fork, neighbours] {
      let ended = try Program.run(command)
      #expect(
        ended.status == 64 && ended.errors.contains("the run has them on memory shards 'held-shard' ("), "\(ended)")
      #expect(ended.errors.contains("rows ") && ended.errors.contains("--shard"), "\(ended)")
      let wrong = try Program.run(command + ["--shard", runs.workshop.data])
      #expect(wrong.status == 64 && wrong.errors.contains("holds no memory shard"), "\(wrong)")
    }
    let again = try Program.run(replay + ["--shard", shard])
    #expect(again.status == 0, "\(again)")
    let drawn = try Program.run(neighbours + ["--shard", shard])
    #expect(drawn.status == 0 && drawn.output.contains("the newest 384 rows of the memory, step 40"), "\(drawn)")
    let report = try #require(try JSONSerialization.jsonObject(with: Data(again.output.utf8)) as? [String: Any])
    let total = try #require(report["total"] as? [String: Any])
    #expect(try ["student", "teacher", "memory"].map { total[$0] as? String } == runs.expected())
    #expect(try Program.run(fork + ["--shard", shard]).status == 0)
    let inspected = try Program.run(["inspect", runs.workshop.run("forked")])
    #expect(inspected.status == 0, "\(inspected)")
  }

  @Test func theJudgeOfAnAuditReadsRowsFromShards() throws {
    try runWithAShard("judged", ["--audit-rate", "1", "--row-cache", "0"]) { address in
      [try runs.worker(address)]
    }
    let log = runs.log("judged")
    #expect(!log.contains("could not be computed by the coordinator"), "\(log.suffix(2000))")
    #expect(try runs.workshop.digests("judged", step: 40) == runs.expected())
  }

  @Test func aShardThatJoinsTakesItsShare() throws {
    try runs.begin("grown")
    let owner = try runs.coordinator("grown", ["--row-cache", "0"])
    let address = try runs.workshop.address("grown")
    let first = try runs.shard(address, "early")
    try runs.awaitRelease(address)
    let all = runs.files("early").count
    let second = try runs.shard(address, "late")
    try runs.await("as many extents on each") {
      try runs.list(address)["moves_to_make"] as? Int == 0 && runs.files("early").count == all / 2
    }
    #expect(runs.files("late").count == all - all / 2)
    let computing = try runs.worker(address)
    for process in [owner, first, second, computing] { try process.exit() }
    #expect(owner.terminationStatus == 0)
    #expect(try runs.workshop.digests("grown", step: 40) == runs.expected())
  }

  @Test func aMemoryOfAnotherSizeFromAStepOnHasOneResultToo() throws {
    for (size, words) in [
      (768, "memory_size grows from 384 to 768 rows: its 384 rows stay, the other 384 begin as random ones"),
      (192, "memory_size shrinks from 384 to 192 rows: the 192 oldest leave the memory now."),
    ] {
      let change = ["--change", "memory_size=\(size)"]
      let (plain, sharded) = ("plain-\(size)", "sharded-\(size)")
      try runs.begin(plain)
      let ended = try Program.run(runs.workshop.arguments(plain, workers: 2) + ShardedRuns.recipe + change)
      #expect(ended.status == 0 && ended.errors.contains(words), "\(ended)")
      let expected = try runs.workshop.digests(plain, step: 40)
      #expect(try expected != runs.expected())

      try runs.begin(sharded)
      let owner = try runs.coordinator(sharded, change + ["--row-cache", "0", "--memory-replicas", "2"])
      let address = try runs.workshop.address(sharded)
      let shards = try ["a", "b"].map { try runs.shard(address, "\($0)-\(size)") }
      try runs.awaitRelease(address)
      let computing = try runs.worker(address)
      for process in [owner, computing] + shards { try process.exit() }
      #expect(try runs.workshop.digests(sharded, step: 40) == expected)
    }
  }

  @Test func keysOnAllSocketsChangeNoBits() throws {
    try runs.begin("secret")
    let folder = runs.workshop.folder
    let names = ["coordinator", "worker", "shard-a", "shard-b"]
    let keys = try names.map { name in
      try Program.run(["keygen", "--out", folder + "/\(name).key"]).output
        .trimmingCharacters(in: .whitespacesAndNewlines)
    }
    let allowed = folder + "/allowed.txt"
    try Data((keys.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: allowed))
    func own(_ name: String) -> [String] { ["--key", folder + "/\(name).key"] }
    func peer(_ name: String) -> [String] { own(name) + ["--coordinator-key", keys[0]] }
    let owner = try runs.coordinator(
      "secret", own("coordinator") + ["--allowed-keys", allowed, "--memory-replicas", "2", "--row-cache", "0"])
    let address = try runs.workshop.address("secret")
    let shards = try ["shard-a", "shard-b"].map {
      try runs.shard(address, $0, peer($0) + ["--allowed-keys", allowed])
    }
    try runs.awaitRelease(address, peer("worker"))
    let computing = try runs.worker(address, peer("worker"))
    try owner.exit()
    try computing.exit()
    for process in shards { try process.exit() }
    #expect(owner.terminationStatus == 0 && shards.allSatisfy { $0.terminationStatus == 0 })
    #expect(try runs.workshop.digests("secret", step: 40) == runs.expected())
  }

  /// What `massl bench memory` fills is a run like any other, and what its rows cost is seen.
  @Test func aFilledMemoryIsTrainedOnAndItsRowsAreCounted() throws {
    var digests: [[String]] = []
    for count in [1, 2] {
      let folder = "filled-\(count)"
      let filled = try Program.run(
        [
          "bench", "memory", "--fill", "1K", "--shards", "\(count)", "--directory", runs.workshop.folder + "/" + folder,
          "--data", runs.workshop.data,
        ] + Workshop.recipe + ["--extent-rows", "128", "--max-steps", "4", "--blocks-per-step", "2"])
      #expect(filled.status == 0, "\(filled)")
      let owner = try Program.start([
        "coordinator", "--data", runs.workshop.data, "--run", runs.workshop.run("\(folder)/run"), "--listen",
        "tcp://127.0.0.1:0",
      ])
      let address = try runs.workshop.address("\(folder)/run")
      let shards = try (0..<count).map { try runs.shard(address, "\(folder)/shard-\($0)") }
      let computing = try runs.worker(address)
      for process in [owner, computing] + shards {
        #expect(try process.exit() == 0)
      }
      digests.append(Array(try runs.workshop.digests("\(folder)/run", step: 4).prefix(2)))
      let status = try Program.run(["status", "--run", runs.workshop.run("\(folder)/run"), "--json"])
      let object = try #require(try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any])
      // Two blocks of 64, none kept; every row is stored somewhere.
      #expect(object["rows_fetched"] as? Int == 128 && object["rows_cached"] as? Int == 0)
      #expect(object["row_wait_seconds"] as? Double ?? -1 >= 0)
    }
    #expect(digests[0] == digests[1])
  }
}
