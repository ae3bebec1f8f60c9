import Checkpoints
import Durability
import Foundation
import Numerics
import TestSupport
import Testing

private let pictures = DataRecord(count: 100, digest: Digest(high: 1, low: 2))

private func open(
  _ storage: any Storage, _ path: String = "runs/a", data: DataRecord = pictures, seed: UInt64 = 1
) throws -> RunDirectory {
  var random = SplitMix64(seed: seed)
  return try RunDirectory.open(path, configuration: "arch: vit_tiny\n", data: data, in: storage, random: &random)
}

@Suite("A run directory has one owner, one identity and one data set")
struct RunDirectoryTests {
  @Test func itIsMadeOnceAndResumedAfterwards() throws {
    let storage = SimulatedStorage()
    let first = try open(storage, seed: 1)
    storage.restart()
    let second = try open(storage, seed: 2)
    #expect(first.run == second.run)
    #expect(try RunDirectory.configuration(of: "runs/a", in: storage) == "arch: vit_tiny\n")
    #expect(try open(storage, "runs/b", seed: 2).run != first.run)
  }

  @Test func aSecondCoordinatorIsRefusedAndToldWhoHasIt() throws {
    try withTemporaryDirectory { root in
      let owner = try open(FileStorage(), "\(root)/run")
      let error = #expect(throws: DurabilityError.self) { try open(FileStorage(), "\(root)/run") }
      #expect(
        error
          == .locked(
            path: "\(root)/run/coordinator.lock", holder: .current))
      try owner.verifyLock()
      owner.release()
      let next = try open(FileStorage(), "\(root)/run")
      #expect(throws: DurabilityError.lockLost(path: "\(root)/run/coordinator.lock")) { try owner.nextIncarnation() }
      try next.verifyLock()
      try FileStorage().remove("\(root)/run/coordinator.lock")
      #expect(throws: DurabilityError.lockLost(path: "\(root)/run/coordinator.lock")) {
        try next.nextIncarnation()
      }
    }
  }

  @Test func whereLocksDoNotLockTheOlderChangesNothingOnceTheNewerHasStarted() throws {
    let storage = SimulatedStorage()
    let older = try open(storage)
    _ = try older.nextIncarnation()
    storage.ignoreLock("runs/a/coordinator.lock")
    let newer = try open(storage)
    try older.verifyLock()
    _ = try newer.nextIncarnation()
    let overtaken = DurabilityError.overtaken(record: "runs/a/incarnation.json")
    #expect(throws: overtaken) { try older.verifyLock() }
    #expect(throws: overtaken) { try older.nextIncarnation() }
    #expect(throws: overtaken) { try older.storage.writeAtomically([1], to: "runs/a/config.yaml") }
    #expect(overtaken.isLostLock && overtaken.description.contains("NFS"))
    try newer.verifyLock()
    try newer.storage.writeAtomically([1], to: "runs/a/config.yaml")
  }

  /// Both read the same number before either wrote the next.
  @Test func ofTwoStartsWithOneNumberTheLaterOneOwnsTheRun() throws {
    let storage = SimulatedStorage()
    let first = try open(storage)
    let number = try first.nextIncarnation()
    let own = try storage.readWhole("runs/a/incarnation.json", limit: 1000)
    storage.restart()
    let second = try open(storage)
    try storage.remove("runs/a/incarnation.json")
    #expect(try second.nextIncarnation() == number)
    #expect(try storage.readWhole("runs/a/incarnation.json", limit: 1000) != own)
    try storage.writeAtomically(own, to: "runs/a/incarnation.json")
    #expect(throws: DurabilityError.overtaken(record: "runs/a/incarnation.json")) { try second.verifyLock() }
  }

  @Test func noIncarnationIsUsedTwiceWhateverIsCut() throws {
    for cut in 0..<40 {
      for seed in 0..<6 as Range<UInt64> {
        let storage = SimulatedStorage()
        storage.cutPower(after: cut)
        let before = try? open(storage).nextIncarnation()
        storage.restart(cuttingPower: seed)
        let run = try open(storage)
        let after = try run.nextIncarnation()
        #expect(after > before ?? 0, "cut \(cut), seed \(seed)")
        #expect(try run.nextIncarnation() == after + 1)
      }
    }
  }

  @Test func otherDataIsRefusedAndSaysBothCounts() throws {
    let storage = SimulatedStorage()
    _ = try open(storage)
    storage.restart()
    var error = #expect(throws: CheckpointError.self) {
      try open(storage, data: DataRecord(count: 99, digest: pictures.digest))
    }
    #expect(
      error?.description == "runs/a was started on 100 pictures; --data has 99. Give the same data set to resume it; "
        + "massl fork --run runs/a --data DIR --to NEW goes on from its newest checkpoint with these, and another --run "
        + "starts afresh.")
    error = #expect(throws: CheckpointError.self) {
      try open(storage, data: DataRecord(count: 100, digest: Digest(high: 0, low: 0)))
    }
    #expect(error?.description.contains("100 pictures of other names or sizes") == true)
    // A refusal leaves the directory free.
    _ = try open(storage)
  }

  @Test func aDirectoryOfOtherThingsIsNotTaken() throws {
    let storage = SimulatedStorage()
    try storage.makeDirectory("runs/a")
    try storage.writeAtomically("".utf8, to: "runs/a/thesis.tex")
    #expect(throws: CheckpointError.notARun(directory: "runs/a")) { try open(storage) }
    #expect(throws: CheckpointError.notARun(directory: "runs/c")) {
      try RunDirectory.configuration(of: "runs/c", in: storage)
    }
  }

  @Test(arguments: ["run.json", "incarnation.json"])
  func aChangedByteInItsRecordsIsFound(file: String) throws {
    let storage = SimulatedStorage()
    _ = try open(storage).nextIncarnation()
    let path = "runs/a/\(file)"
    for offset in try 0..<storage.readWhole(path, limit: 1000).count {
      storage.restart()
      try storage.corrupt(path, at: offset) { $0 ^ 2 }
      let error = #expect(throws: CheckpointError.self) { try open(storage).nextIncarnation() }
      guard case .damagedRecord(path, _)? = error else {
        Issue.record("byte \(offset): \(String(describing: error))")
        return
      }
      try storage.corrupt(path, at: offset) { $0 ^ 2 }
    }
  }

  @Test func aCheckpointOfAnotherRunIsRefused() throws {
    let storage = SimulatedStorage()
    let run = try open(storage)
    let directory = try run.checkpoints()
    try directory.write(Fixture(1).content, Fixture.manifest(step: 1, run: run.run))
    try directory.write(Fixture(1).content, Fixture.manifest(step: 2))
    try run.check(directory.checkpoint(ofStep: 1))
    #expect(throws: CheckpointError.self) { try run.check(directory.checkpoint(ofStep: 2)) }
  }
}
