import Checkpoints
import Durability
import Foundation
import Numerics
import TestSupport
import Testing

private func newDirectory(_ storage: SimulatedStorage) throws -> CheckpointDirectory {
  try storage.makeDurableDirectory("run")
  return try CheckpointDirectory("run/checkpoints", in: storage)
}

private func load(_ checkpoint: Checkpoint) throws -> [[Float]] {
  let fixture = Fixture(-1000)
  try checkpoint.load(fixture.content)
  return fixture.floats
}

@Suite("A checkpoint is there whole, or it is not there")
struct CheckpointAtomicityTests {
  @Test func whatWasWrittenIsRead() throws {
    let directory = try newDirectory(SimulatedStorage())
    let manifest = try directory.write(Fixture(1).content, Fixture.manifest(step: 7))
    let checkpoint = try directory.checkpoint(ofStep: 7)
    #expect(checkpoint.manifest == manifest)
    var saved = manifest
    saved.files = [:]
    #expect(saved == Fixture.manifest(step: 7))
    #expect(try load(checkpoint) == Fixture(1).floats)
    #expect(try directory.newestWhole().damaged == [])
  }

  @Test func realFilesHoldItToo() throws {
    try withTemporaryDirectory { root in
      let directory = try CheckpointDirectory("\(root)/checkpoints", in: FileStorage())
      for (step, value) in [(1, 1), (2, 2), (2, 3), (3, 4)] {
        try directory.write(Fixture(Float(value)).content, Fixture.manifest(step: step))
      }
      #expect(try load(directory.checkpoint(ofStep: 2)) == Fixture(3).floats)
      try directory.prune(keeping: 1, newestWhole: 3)
      #expect(try FileStorage().list("\(root)/checkpoints") == ["step-00000003"])
    }
  }

  @Test func oneThatIsNotWantedAnyMoreIsNeverThere() throws {
    struct NotWanted: Error {}
    let storage = SimulatedStorage()
    let directory = try newDirectory(storage)
    try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
    var tensors = 0
    try directory.write(Fixture(1).content, Fixture.manifest(step: 1), unless: { tensors += 1 })
    #expect(tensors > 3)
    for last in 1...tensors {
      var tensor = 0
      #expect(throws: NotWanted.self) {
        try directory.write(Fixture(2).content, Fixture.manifest(step: 2)) {
          tensor += 1
          if tensor == last { throw NotWanted() }
        }
      }
      #expect(try storage.list("run/checkpoints") == ["step-00000001"])
    }
  }

  @Test func aPowerCutAfterAnyCallLeavesTheOneBeforeOrTheNewOne() throws {
    var outcomes: Set<Int> = []
    var cut = 0
    var finished = false
    while !finished {
      for seed in 0..<12 as Range<UInt64> {
        let storage = SimulatedStorage()
        var directory = try newDirectory(storage)
        try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
        storage.cutPower(after: cut)
        finished = (try? directory.write(Fixture(2).content, Fixture.manifest(step: 2))) != nil
        storage.restart(cuttingPower: seed)

        directory = try CheckpointDirectory("run/checkpoints", in: storage)
        try directory.recover()
        let (newest, damaged) = try directory.newestWhole()
        let step = try #require(newest).manifest.step
        #expect(damaged == [], "cut \(cut), seed \(seed)")
        #expect(finished ? step == 2 : [1, 2].contains(step), "cut \(cut), seed \(seed)")
        #expect(try load(#require(newest)) == Fixture(Float(step)).floats, "cut \(cut), seed \(seed)")
        #expect(try storage.list("run/checkpoints").allSatisfy { $0.hasPrefix("step-") })
        outcomes.insert(step)
      }
      cut += 1
    }
    #expect(outcomes == [1, 2])
    #expect(cut > 20)
  }

  @Test func aPowerCutWhileReplacingTheOnlyOneLeavesOneOfThem() throws {
    var cut = 0
    var finished = false
    while !finished {
      for seed in 0..<12 as Range<UInt64> {
        let storage = SimulatedStorage()
        var directory = try newDirectory(storage)
        try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
        storage.cutPower(after: cut)
        finished = (try? directory.write(Fixture(2).content, Fixture.manifest(step: 1))) != nil
        storage.restart(cuttingPower: seed)

        directory = try CheckpointDirectory("run/checkpoints", in: storage)
        try directory.recover()
        let newest = try #require(try directory.newestWhole().checkpoint, "cut \(cut), seed \(seed)")
        let floats = try load(newest)
        #expect(floats == Fixture(2).floats || !finished && floats == Fixture(1).floats, "cut \(cut), seed \(seed)")
      }
      cut += 1
    }
  }

  /// The writer alone dies at any call, of a new checkpoint or of another of the same step; the next process relies on
  /// what it finds; then the power goes.
  @Test(arguments: [1, 2]) func aCheckpointThatWasFoundSurvivesAPowerCut(second: Int) throws {
    var cut = 0
    var finished = false
    while !finished {
      for seed in 0..<12 as Range<UInt64> {
        let storage = SimulatedStorage()
        var directory = try newDirectory(storage)
        try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
        storage.cutPower(after: cut)
        finished = (try? directory.write(Fixture(2).content, Fixture.manifest(step: second))) != nil
        storage.restart()

        directory = try CheckpointDirectory("run/checkpoints", in: storage)
        try directory.recover()
        let found = try #require(try directory.newestWhole().checkpoint)
        let floats = try load(found)
        storage.restart(cuttingPower: seed)

        directory = try CheckpointDirectory("run/checkpoints", in: storage)
        try directory.recover()
        let kept = try #require(try directory.newestWhole().checkpoint, "cut \(cut), seed \(seed)")
        #expect(kept.manifest.step == found.manifest.step, "cut \(cut), seed \(seed)")
        #expect(try load(kept) == floats, "cut \(cut), seed \(seed)")
      }
      cut += 1
    }
  }

  @Test func aPowerCutWhilePruningLeavesNoHalfCheckpoint() throws {
    var cut = 0
    var finished = false
    while !finished {
      for seed in 0..<12 as Range<UInt64> {
        let storage = SimulatedStorage()
        var directory = try newDirectory(storage)
        for step in 1...3 { try directory.write(Fixture(Float(step)).content, Fixture.manifest(step: step)) }
        storage.cutPower(after: cut)
        // Step 2 stays, with another manifest.
        finished = (try? directory.prune(keeping: 1, forGoodEvery: 2, newestWhole: 3)) != nil
        storage.restart(cuttingPower: seed)
        directory = try CheckpointDirectory("run/checkpoints", in: storage)
        try directory.recover()
        for step in try directory.steps() {
          let checkpoint = try directory.checkpoint(ofStep: step)
          try checkpoint.verify()
          #expect(try load(checkpoint) == Fixture(Float(step)).floats)
        }
        #expect(try directory.steps().suffix(2) == [2, 3])
      }
      cut += 1
    }
  }

  @Test func aFullDiskLeavesThoseBeforeAndNoLeftovers() throws {
    let storage = SimulatedStorage()
    let directory = try newDirectory(storage)
    try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
    let used = (1 << 40) - (try storage.freeSpace(at: "run"))
    for room in stride(from: 0, to: used - 1, by: 97) {
      storage.setCapacity(used + room)
      let error = #expect(throws: DurabilityError.self) {
        try directory.write(Fixture(2).content, Fixture.manifest(step: 2))
      }
      #expect(error?.isOutOfSpace == true)
      #expect(try storage.list("run/checkpoints") == ["step-00000001"])
    }
    storage.setCapacity(3 * used)
    try directory.write(Fixture(2).content, Fixture.manifest(step: 2))
    #expect(try directory.newestWhole().checkpoint?.manifest.step == 2)
  }

  @Test func pruningKeepsTheLastAndTheNewestWhole() throws {
    let directory = try newDirectory(SimulatedStorage())
    for step in 1...5 {
      try directory.write(Fixture(1).content, Fixture.manifest(step: step, oldestRow: step * 100))
    }
    #expect(try directory.prune(keeping: 2, newestWhole: 2).oldestOfRecent == 200)
    #expect(try directory.steps() == [2, 4, 5])
    #expect(try directory.prune(keeping: 0, newestWhole: 5).oldestOfRecent == 500)
    #expect(try directory.steps() == [5])
  }

  @Test func whatIsKeptWithItsRowsSaysWhichAndStaysSo() throws {
    let directory = try newDirectory(SimulatedStorage())
    func write(_ step: Int) throws {
      try directory.write(Fixture(Float(step)).content, Fixture.manifest(step: step, oldestRow: step * 50))
    }
    for step in [10, 20, 30] { try write(step) }
    #expect(try directory.prune(keeping: 1, forGoodEvery: 20, keepsRows: true, newestWhole: 30).oldestOfRecent == 1500)
    #expect(try directory.steps() == [20, 30])
    #expect(try directory.checkpoint(ofStep: 20).manifest.weightsOnly == false)
    #expect(try directory.neededRows().keptForGood == [1000..<1280])
    // Later ones may be kept without: this one has its rows still.
    try write(40)
    try write(50)
    #expect(try directory.prune(keeping: 1, forGoodEvery: 20, newestWhole: 50).oldestOfRecent == 2500)
    #expect(
      try directory.steps().map { try directory.checkpoint(ofStep: $0).manifest.weightsOnly } == [false, true, nil])
    #expect(try directory.neededRows().keptForGood.count == 1)
  }

  @Test func theFirstOfEveryPeriodStaysForGoodWithItsWeightsAlone() throws {
    let storage = SimulatedStorage()
    let directory = try newDirectory(storage)
    func write(_ step: Int) throws {
      try directory.write(Fixture(Float(step)).content, Fixture.manifest(step: step, oldestRow: step * 100))
    }
    for step in [4, 9, 10, 14, 23, 25, 30] { try write(step) }
    // Of 10 to 19, of 20 to 29; 30 is among the newest, and has its rows still.
    #expect(try directory.prune(keeping: 1, forGoodEvery: 10, newestWhole: 30).oldestOfRecent == 3000)
    #expect(try directory.steps() == [10, 23, 30])
    #expect(
      try directory.steps().map { try directory.checkpoint(ofStep: $0).manifest.weightsOnly } == [true, true, nil])
    for step in [10, 23] {
      let checkpoint = try directory.checkpoint(ofStep: step)
      try checkpoint.verify()
      #expect(try load(checkpoint) == Fixture(Float(step)).floats)
    }
    // For good: whatever is asked for later.
    try write(31)
    #expect(try directory.prune(keeping: 1, newestWhole: 31).oldestOfRecent == 3100)
    #expect(try directory.steps() == [10, 23, 31])
    let text = try Inspection(of: "run/checkpoints/step-00000010", in: storage).text()
    #expect(text.contains("step 10, epoch 1, whole, kept for good: weights only"))
  }
}

@Suite("Damage in a checkpoint is found, named and passed over")
struct CheckpointDamageTests {
  private static func twoCheckpoints() throws -> (SimulatedStorage, CheckpointDirectory) {
    let storage = SimulatedStorage()
    let directory = try newDirectory(storage)
    try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
    try directory.write(Fixture(2).content, Fixture.manifest(step: 2))
    return (storage, directory)
  }

  @Test(arguments: ["student.safetensors", "teacher.safetensors", "optimizer.safetensors", "manifest.json"])
  func anyChangedByteIsFoundAndItsFileNamed(file: String) throws {
    let (storage, directory) = try Self.twoCheckpoints()
    let path = "run/checkpoints/step-00000002/\(file)"
    let size = try storage.readWhole(path, limit: 1 << 20).count
    for offset in 0..<size {
      let bit = UInt8(1) << UInt8(offset % 8)
      try storage.corrupt(path, at: offset) { $0 ^ bit }
      let (newest, damaged) = try directory.newestWhole()
      #expect(newest?.manifest.step == 1, "byte \(offset)")
      guard case .damaged(path, _, _)? = damaged.first else {
        Issue.record("byte \(offset) of \(path): \(damaged)")
        return
      }
      try storage.corrupt(path, at: offset) { $0 ^ bit }
    }
    #expect(try directory.newestWhole().checkpoint?.manifest.step == 2)
  }

  @Test func theDamagedTensorIsNamed() throws {
    let (storage, directory) = try Self.twoCheckpoints()
    let path = "run/checkpoints/step-00000002/teacher.safetensors"
    let tensor = try SafetensorsFile(path, in: storage).tensor("head.mlp.0.bias")
    try storage.corrupt(path, at: tensor.bytes.lowerBound + 5) { $0 ^ 1 }
    let damage = CheckpointError.damaged(
      file: path, tensor: "head.mlp.0.bias", reason: "does not match its digest")
    #expect(try directory.newestWhole().damaged == [damage])
    #expect(throws: damage) { try load(directory.checkpoint(ofStep: 2)) }
    #expect(
      damage.description == "run/checkpoints/step-00000002/teacher.safetensors is damaged: tensor 'head.mlp.0.bias' "
        + "does not match its digest. Delete that step's directory to resume from the one before.")
  }

  @Test(arguments: ["student.safetensors", "teacher.safetensors", "optimizer.safetensors", "manifest.json"])
  func aMissingOrShortenedFileIsDamage(file: String) throws {
    let (storage, directory) = try Self.twoCheckpoints()
    let path = "run/checkpoints/step-00000002/\(file)"
    let bytes = try storage.readWhole(path, limit: 1 << 20)
    for length in 0..<bytes.count {
      try storage.write(Array(bytes[..<length]), to: path)
      #expect(try directory.newestWhole().checkpoint?.manifest.step == 1, "\(length) bytes")
    }
    try storage.remove(path)
    let (newest, damaged) = try directory.newestWhole()
    #expect(newest?.manifest.step == 1)
    #expect(damaged == [.damaged(file: path, tensor: nil, reason: "is not there")])
  }

  @Test func aNewerFormatIsRefusedNotPassedOver() throws {
    let (_, directory) = try Self.twoCheckpoints()
    var manifest = Fixture.manifest(step: 3)
    manifest.formatVersion = 2
    try directory.write(Fixture(3).content, manifest)
    #expect(
      throws: CheckpointError.newerFormat(
        file: "run/checkpoints/step-00000003/manifest.json", version: 2, supported: 1)
    ) { try directory.newestWhole() }
  }

  @Test func anotherArchitectureIsRefusedByTensor() throws {
    let (_, directory) = try Self.twoCheckpoints()
    let checkpoint = try directory.checkpoint(ofStep: 2)
    func content(_ name: String, _ shape: [Int]) -> CheckpointContent {
      let buffer = FloatBuffer(count: 4)
      let entry = TensorEntry(name: name, shape: shape, range: 0..<4)
      return CheckpointContent(student: [TensorGroup(buffer: buffer, entries: [entry])], teacher: [], optimizer: [])
    }
    let file = "run/checkpoints/step-00000002/student.safetensors"
    #expect(throws: CheckpointError.missingTensor(file: file, tensor: "backbone.other")) {
      try checkpoint.load(content("backbone.other", [4]))
    }
    #expect(
      throws: CheckpointError.otherShape(
        file: file, tensor: "backbone.cls_token", found: [1, 1, 4], expected: [4])
    ) { try checkpoint.load(content("backbone.cls_token", [4])) }
  }

  @Test func anAbsentStepNamesThoseThatAreThere() throws {
    let (_, directory) = try Self.twoCheckpoints()
    let error = #expect(throws: CheckpointError.self) { try directory.checkpoint(ofStep: 9) }
    #expect(error?.description == "run/checkpoints has no checkpoint of step 9. It has those of 1, 2.")
  }
}
