import Foundation
import TestSupport
import Testing

/// Real processes: what strikes a shard, or should not be one, is said in a sentence, and no row is lost that has a
/// replica.
@Suite(.serialized, .ownThreads) struct ShardTroubleTests {
  let runs: ShardedRuns

  init() throws { runs = try ShardedRuns() }

  private func finish(_ run: String, _ owner: Process, _ others: Process...) throws {
    try owner.exit()
    for process in others { try process.exit() }
    #expect(owner.terminationStatus == 0, "\(runs.log(run).suffix(800))")
    #expect(try runs.workshop.digests(run, step: 40) == runs.expected(), "\(runs.log(run).suffix(800))")
  }

  // MARK: Lost and damaged rows

  @Test func aLostDirectoryWithoutReplicasStopsTheRunUntilItsRowsAreForgotten() throws {
    try runs.begin("lost")
    var owner = try runs.coordinator("lost", ["--row-cache", "0"])
    var address = try runs.workshop.address("lost")
    let shard = try runs.shard(address, "only")
    try runs.awaitRelease(address)
    let endpoint = try #require(try runs.shards(address).first?["endpoint"] as? String)
    kill(shard.processIdentifier, SIGKILL)
    try shard.exit()
    try FileManager.default.removeItem(atPath: runs.directory("only"))
    // Its supervisor starts it again where it was.
    let empty = try runs.shard(address, "only", ["--listen", endpoint])
    #expect(try owner.exit() == 65)
    let words = runs.log("lost")
    #expect(words.contains("The memory's rows 96 to "), "\(words.suffix(800))")
    #expect(try words.contains(Self.loss("only")), "\(words.suffix(800))")
    empty.terminate()
    try empty.exit()

    // Nothing changed by that: another start says the same.
    owner = try runs.coordinator("lost", ["--row-cache", "0"])
    address = try runs.workshop.address("lost")
    let again = try runs.shard(address, "only", ["--listen", endpoint])
    #expect(try owner.exit() == 65)
    again.terminate()
    try again.exit()

    owner = try runs.coordinator("lost", ["--row-cache", "0", "--forget-lost-rows"])
    address = try runs.workshop.address("lost")
    let last = try runs.shard(address, "only", ["--listen", endpoint])
    let computing = try runs.worker(address)
    try owner.exit()
    try computing.exit()
    try last.exit()
    #expect(owner.terminationStatus == 0, "\(runs.log("lost").suffix(800))")
    #expect(runs.log("lost").contains("are forgotten, and computed from their number from step 30 on"))
    #expect(try runs.workshop.digests("lost", step: 40) != runs.expected())
    let inspected = try Program.run(["inspect", runs.workshop.run("lost") + "/checkpoints/step-00000040"])
    #expect(inspected.output.contains("change      at step 30: memory_floor 0 -> "), "\(inspected)")
  }

  @Test func damagedFilesAreFetchedAgainFromAReplica() throws {
    try runs.begin("mended")
    let owner = try runs.coordinator("mended", ["--row-cache", "0", "--memory-replicas", "2"])
    let address = try runs.workshop.address("mended")
    let shards = try ["left", "right"].map { try runs.shard(address, $0) }
    try runs.awaitRelease(address)
    let files = runs.files("left")
    let whole = try files.map { try Data(contentsOf: URL(fileURLWithPath: $0)) }
    try runs.damage(files)
    // The shard reads its files through all the time.
    try runs.await("a file that is whole again") {
      try zip(files, whole).contains { try Data(contentsOf: URL(fileURLWithPath: $0)) == $1 }
    }
    let computing = try runs.worker(address)
    try finish("mended", owner, computing, shards[0], shards[1])
    #expect(runs.log("mended").contains("Memory shard 'left' found rows "))
    #expect(runs.log("left").contains("are damaged: copied again from whoever has them."))
  }

  @Test func damagedFilesWithoutAReplicaStopTheRun() throws {
    try runs.begin("rotten")
    let owner = try runs.coordinator("rotten", ["--row-cache", "0"])
    let address = try runs.workshop.address("rotten")
    let shard = try runs.shard(address, "rot")
    defer { shard.terminate() }
    try runs.awaitRelease(address)
    try runs.damage(runs.files("rot"))
    #expect(try owner.exit() == 65)
    let words = runs.log("rotten")
    #expect(words.contains("Memory shard 'rot' found rows ") && words.contains("Its disk or memory may be broken."))
    #expect(try words.contains(Self.loss("rot")), "\(words.suffix(800))")
  }

  /// What is said of rows that a shard had, and nobody has any more.
  private static func loss(_ name: String) throws -> Regex<AnyRegexOutput> {
    try Regex(
      "no memory shard has them any more \\('\(name)' \\([0-9a-f]{32}\\) had them\\)\\. "
        + "A start with --forget-lost-rows computes all rows below ")
  }

  // MARK: Disks

  /// A disk of its own, which only root may have.
  @Test(.enabled(if: BadInputTests.mayMount)) func aDiskThatHasLessThanWasOfferedTakesWhatItCan() throws {
    try runs.begin("full")
    let owner = try runs.coordinator("full")
    let address = try runs.workshop.address("full")
    let small = runs.directory("small")
    try FileManager.default.createDirectory(atPath: small, withIntermediateDirectories: true)
    let shard = try runs.shard(
      address, "small/shard", ["--capacity", "100KiB"],
      through: Program.inMounts("mount -t tmpfs -o size=128k tmpfs \(small)"))
    // Somebody else fills it meanwhile, all but four pages.
    let seen = "/proc/\(shard.processIdentifier)/root\(small)"
    try runs.await("the shard") { FileManager.default.fileExists(atPath: seen + "/shard/shard.json") }
    #expect(FileManager.default.createFile(atPath: seen + "/other", contents: Data(count: 25 * 4096)))
    try runs.await("a full disk") {
      try runs.shards(address).contains { ($0["problem"] as? String ?? "").contains("no room for extent") }
    }
    let computing = try runs.worker(address)
    try finish("full", owner, computing, shard)
    let words = runs.log("full").split(separator: "\n").filter {
      $0.contains("Memory shard 'small/shard': no room for extent")
    }
    #expect(words.count == 1, "\(words)")
  }

  // MARK: What cannot be a shard

  @Test func whatCannotBeAShardSaysSo() throws {
    let workshop = runs.workshop
    let owner = try runs.coordinator("strict")
    defer { owner.terminate() }
    let address = try workshop.address("strict")
    func refused(_ directory: String, _ capacity: String = "1MiB", _ extra: [String] = []) throws -> Program.Ended {
      try Program.run(
        ["memory", "--coordinator", address, "--capacity", capacity, "--directory", runs.directory(directory)] + extra)
    }
    let foreign = try refused("train")
    #expect(foreign.status == 64 && foreign.errors.contains("holds no memory shard"), "\(foreign)")
    let greedy = try refused("greedy", "200TiB")
    #expect(greedy.status == 64 && greedy.errors.contains("Offer less"), "\(greedy)")
    let beyond = try refused("greedy", "4000TiB")
    #expect(beyond.status == 64 && beyond.errors.contains("--capacity must be below 256TiB"), "\(beyond)")
    let nobody = try Program.run(["memory", "drain", "nobody", "--coordinator", address])
    #expect(nobody.status == 64 && nobody.errors.contains("nobody"), "\(nobody)")

    let one = try runs.shard(address, "same")
    try runs.await("the shard") { try runs.shards(address).count == 1 }
    let twice = try refused("same")
    #expect(twice.status == 75 && twice.errors.contains("shard.lock"), "\(twice)")
    one.terminate()
    #expect(try one.exit() == 0)

    // Another run's rows.
    let other = try runs.coordinator("other")
    defer { other.terminate() }
    let strange = try Program.run([
      "memory", "--coordinator", try workshop.address("other"), "--capacity", "1MiB", "--directory",
      runs.directory("same"),
    ])
    #expect(strange.status == 65 && strange.errors.contains("another run"), "\(strange)")

    // A newer format.
    let identity = URL(fileURLWithPath: runs.directory("same") + "/shard.json")
    let text = try String(contentsOf: identity, encoding: .utf8).replacing("\"version\" : 1", with: "\"version\" : 2")
    try Data(text.utf8).write(to: identity)
    let newer = try refused("same")
    #expect(newer.status == 65 && newer.errors.contains("has format 2; this massl reads formats up to 1."), "\(newer)")
  }

  @Test func aShardThatNobodyReachesGetsNoRowsAndIsNamed() throws {
    try runs.begin("astray")
    let owner = try runs.coordinator("astray", ["--row-cache", "0"])
    let address = try runs.workshop.address("astray")
    // Where nobody listens.
    let shard = try runs.shard(address, "hidden", ["--advertise", "tcp://127.0.0.1:9"])
    try runs.await("a warning") {
      runs.log("astray").contains("Memory shard 'hidden' cannot be reached at tcp://127.0.0.1:9")
    }
    let computing = try runs.worker(address)
    try finish("astray", owner, computing, shard)
    #expect(runs.files("hidden").isEmpty)
  }
}
