import Checkpoints
import Durability
import Numerics
import TestSupport
import Testing

@Suite("Foreign bytes are a checkpoint's, or are refused")
struct FuzzTests {
  private static let filter = "CheckpointsTests.FuzzTests"

  @Test func safetensors() throws {
    let storage = SimulatedStorage()
    let fixture = Fixture(1)
    var corpus: [[UInt8]] = []
    for (groups, metadata) in [
      (fixture.content.student, ["format": "pt", "é": "\"\\\n"]), (fixture.content.optimizer, [:]),
    ] {
      try SafetensorsFile.write(groups, metadata: metadata, to: "tensors", in: storage)
      corpus.append(try storage.readWhole("tensors", limit: 1 << 20))
    }
    // One of each type, with empty tensors and scalars.
    let header =
      #"{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[8,12]},"#
      + #""c":{"dtype":"I64","shape":[0,7],"data_offsets":[12,12]},"d":{"dtype":"BOOL","shape":[4],"data_offsets":[12,16]}}"#
    corpus.append([UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(header.utf8) + (0..<16))

    let report = Fuzzing("safetensors", percent: 15, filter: Self.filter).run(
      corpus: corpus, refusing: { $0 is CheckpointError }
    ) { input, random in
      var bytes = input
      if bytes.count >= 8, random.below(2) == 0 { fitLength(of: &bytes) }
      try storage.write(bytes, to: "tensors")
      let file = try SafetensorsFile("tensors", in: storage)
      for tensor in file.header.tensors {
        guard try file.floats(of: tensor.name).count == tensor.count else {
          throw Fuzzing.Mistake("a tensor has another count than it says")
        }
        _ = try file.digest(of: tensor.name)
      }
      for entry in Fixture.entries where file.header.tensors.contains(where: { $0.name == entry.name }) {
        try file.read(entry.name, into: entry, of: fixture.content.student[0].buffer)
      }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted)
  }

  /// So that not every change of the header's size ends at its length.
  private func fitLength(of bytes: inout [UInt8]) {
    guard let end = bytes.dropFirst(8).lastIndex(of: UInt8(ascii: "}")) else { return }
    var length = end - 7
    while length % 8 != 0, length + 8 < bytes.count, bytes[length + 8] == UInt8(ascii: " ") { length += 1 }
    for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
  }

  @Test func manifests() throws {
    let storage = SimulatedStorage()
    try storage.makeDurableDirectory("run")
    let directory = try CheckpointDirectory("run/checkpoints", in: storage)
    try directory.write(Fixture(1).content, Fixture.manifest(step: 7))
    let path = "run/checkpoints/step-00000007/manifest.json"
    let report = Fuzzing("manifests", percent: 8, filter: Self.filter).run(
      corpus: [try storage.readWhole(path, limit: 1 << 20)],
      refusing: { $0 is CheckpointError || $0 is DurabilityError }
    ) { input, random in
      try storage.write(random.below(4) == 0 ? input : sealed(input), to: path)
      let checkpoint = try directory.checkpoint(ofStep: 7)
      guard let limit = checkpoint.manifest.numbers.max(), limit < 1 << 48, checkpoint.manifest.numbers.min()! >= 0
      else { throw Fuzzing.Mistake("\(checkpoint.manifest.numbers) were accepted") }
      _ = checkpoint.manifest.metadata
      try checkpoint.verify()
      try checkpoint.load(Fixture(2).content)
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted)
  }

  @Test func runsAndIncarnations() throws {
    let storage = SimulatedStorage()
    let data = DataRecord(count: 100, digest: Digest(high: 9, low: 10))
    func open() throws -> RunDirectory {
      var random = SplitMix64(seed: 1)
      return try RunDirectory.open("run", configuration: "epochs: 3\n", data: data, in: storage, random: &random)
    }
    var whole: [String: [UInt8]] = [:]
    let run = try open()
    _ = try run.nextIncarnation()
    run.release()
    for file in ["run.json", "incarnation.json"] {
      whole[file] = try storage.readWhole("run/\(file)", limit: 1 << 20)
    }
    for (file, bytes) in whole.sorted(by: { $0.key < $1.key }) {
      let report = Fuzzing(file, percent: file == "run.json" ? 3 : 2, filter: Self.filter).run(
        corpus: [bytes], refusing: { $0 is CheckpointError }
      ) { input, random in
        try storage.write(random.below(4) == 0 ? input : sealed(input), to: "run/\(file)")
        let run = try open()
        defer { run.release() }
        guard try run.nextIncarnation() > 0 else { throw Fuzzing.Mistake("an incarnation of 0") }
      }
      #expect(report.failures == [])
      #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted)
      try storage.write(bytes, to: "run/\(file)")
    }
  }
}

extension Manifest {
  fileprivate var numbers: [Int] {
    [step, epoch, rows, floor, oldestRow, data.count, optimizer.steps] + changes.map(\.step) + files.values.map(\.size)
  }
}
