import Checkpoints
import Durability
import Foundation
import Numerics
import TestSupport
import Testing

/// A file with this JSON and this many bytes of tensors, each byte its place.
private func file(_ json: String, data: Int) -> [UInt8] {
  let header = Array(json.utf8)
  return (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header
    + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}

private func parse(_ bytes: [UInt8]) throws -> SafetensorsFile {
  let storage = SimulatedStorage()
  try storage.write(bytes, to: "f")
  return try SafetensorsFile("f", in: storage)
}

@Suite("Safetensors files are written and read as the format says")
struct SafetensorsTests {
  @Test(arguments: 0..<30 as Range<UInt64>)
  func whatIsWrittenIsReadBack(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let names = [
      "a", "b.weight", "é\"\\\n", "z" + String(repeating: "x", count: Int(random.next() % 9)), "convertMe_to",
    ]
    let buffer = FloatBuffer((0..<400).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) })
    var entries: [TensorEntry] = []
    for (index, name) in names.enumerated() {
      let shape = (0..<Int(random.next() % 4)).map { _ in Int(random.next() % 4) }
      let start = index * 70 + Int(random.next() % 5)
      entries.append(TensorEntry(name: name, shape: shape, range: start..<(start + shape.reduce(1, *))))
    }
    let storage = SimulatedStorage()
    let record = try SafetensorsFile.write(
      [TensorGroup(prefix: "p.", buffer: buffer, entries: entries)], metadata: ["format": "pt", "k\"": "v\u{1}"],
      to: "f", in: storage)
    let file = try SafetensorsFile("f", in: storage)
    #expect(file.header.metadata == ["format": "pt", "k\"": "v\u{1}"])
    #expect(file.header.tensors.count == names.count)
    #expect(file.headerDigest == record.header)
    #expect(try storage.readWhole("f", limit: 1 << 20).count == record.size)
    for entry in entries {
      let tensor = try file.tensor("p." + entry.name)
      #expect(tensor.shape == entry.shape)
      #expect(tensor.bytes.lowerBound % 4 == 0)
      let target = FloatBuffer(count: 400)
      try file.read("p." + entry.name, into: entry, of: target)
      #expect(entry.range.allSatisfy { target[$0].bitPattern == buffer[$0].bitPattern })
      #expect(try file.digest(of: "p." + entry.name) == record.tensors["p." + entry.name])
    }
  }

  @Test func theBytesAreTheFormats() throws {
    let storage = SimulatedStorage()
    try SafetensorsFile.write(
      [TensorGroup(buffer: FloatBuffer([1, -2]), entries: [TensorEntry(name: "w", shape: [2, 1], range: 0..<2)])],
      to: "f", in: storage)
    let json = #"{"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}"#
    let padded = json + String(repeating: " ", count: (8 - json.utf8.count % 8) % 8)
    #expect(
      try storage.readWhole("f", limit: 1000) == [UInt8(padded.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array(padded.utf8)
        + [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0])
  }

  @Test func everyTypeIsReadAsItsNumbers() throws {
    func floats(_ type: String, _ data: [UInt8], count: Int) throws -> [Float] {
      let json = #"{"t":{"dtype":"\#(type)","shape":[\#(count)],"data_offsets":[0,\#(data.count)]}}"#
      return try parse(file(json, data: 0) + data).floats(of: "t")
    }
    // 1, -2, the smallest subnormal, the largest finite, infinity.
    #expect(
      try floats("F16", [0, 0x3C, 0, 0xC0, 1, 0, 0xFF, 0x7B, 0, 0x7C], count: 5) == [1, -2, 0x1p-24, 65504, .infinity])
    #expect(try floats("F16", [0, 0x80], count: 1)[0].sign == .minus)
    #expect(try floats("F16", [1, 0x7C], count: 1)[0].isNaN)
    #expect(try floats("BF16", [0x80, 0x3F, 0x20, 0xC1], count: 2) == [1, -10])
    #expect(try floats("F64", [0, 0, 0, 0, 0, 0, 0xF8, 0x3F], count: 1) == [1.5])
    #expect(try floats("I64", [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], count: 1) == [-1])
    #expect(try floats("U8", [0, 200], count: 2) == [0, 200])
    let integers = #"{"t":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}"#
    #expect(try parse(file(integers, data: 8)).integers(of: "t") == [0x07_06_05_04_03_02_01_00])
    let float = #"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    #expect(throws: CheckpointError.self) { try parse(file(float, data: 4)).integers(of: "t") }
  }

  @Test func emptyFilesAndEmptyTensorsAreSound() throws {
    #expect(try parse(file("{}", data: 0)).header.tensors.isEmpty)
    let json =
      #"{"e":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#
    #expect(try parse(file(json, data: 4)).floats(of: "e") == [])
  }
}

@Suite("Unsound safetensors files are refused, and named with their tensor")
struct MalformedSafetensorsTests {
  static let sound =
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}}"#

  @Test(
    arguments: [
      (
        "a",
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#
      ),
      (
        "a",
        #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[12,12]}}"#
      ),
      ("dtype", #"{"a":{"dtype":"F32","dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#),
      (
        "b",
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}}"#
      ),
      (
        "b",
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[10,12]}}"#
      ),
      ("a", #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[12,0]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[-12,0]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[-1,-3],"data_offsets":[0,12]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[4611686018427387904,4,3],"data_offsets":[0,12]}}"#),
      ("a", #"{"a":{"dtype":"F32","shape":[1.5,2],"data_offsets":[0,12]}}"#),
      ("a", #"{"a":{"dtype":"F33","shape":[3],"data_offsets":[0,12]}}"#),
      ("a", #"{"a":{"shape":[3],"data_offsets":[0,12]}}"#),
      ("a", #"{"a":7}"#),
      (nil, #"{"__metadata__":{"k":1},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#),
      (nil, #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#),
      (nil, #"[]"#),
      (nil, #"{"a":"#),
      (nil, #" {}"#),
      (nil, ""),
    ] as [(String?, String)])
  func aHeaderThatIsWrong(tensor: String?, json: String) throws {
    let error = #expect(throws: CheckpointError.self) { try parse(file(json, data: 12)) }
    guard case .malformed("f", let named, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(named == tensor, "\(error!)")
  }

  /// As torch.save begins a file: since PyTorch 1.6 a zip archive, before it pickled.
  @Test(
    arguments: [
      [0x50, 0x4B, 0x03, 0x04, 0x00, 0x00, 0x08, 0x08], [0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46],
    ] as [[UInt8]])
  func aPyTorchFileIsCalledOne(beginning: [UInt8]) throws {
    #expect(throws: CheckpointError.pyTorch(file: "f")) { try parse(beginning + [UInt8](repeating: 0, count: 200)) }
    let sentence = CheckpointError.pyTorch(file: "a.b/model.pth").description
    #expect(sentence.contains("a PyTorch file") && sentence.contains("save_file(weights, 'a.b/model.safetensors')"))
  }

  /// A header of 66,176 bytes begins with 0x80 0x02 too.
  @Test func aLongHeaderIsNotTakenForPickledBytes() throws {
    let json = "{\"__metadata__\":{\"k\":\"" + String(repeating: "x", count: 66_176 - 25) + "\"}}"
    let bytes = file(json, data: 0)
    #expect(Array(bytes.prefix(2)) == [0x80, 0x02])
    #expect(try parse(bytes).header.metadata["k"]?.count == 66_151)
  }

  @Test func anAbsurdHeaderLengthIsRefusedBeforeAllocating() throws {
    for length in [[0, 0xE1, 0xF5, 6, 0, 0, 0, 0], Array(repeating: 0xFF, count: 8), [0, 1, 0, 0, 0, 0, 0, 0]]
      as [[UInt8]]
    {
      #expect(throws: CheckpointError.self) { try parse(length + Array("{}".utf8)) }
    }
  }

  @Test func anyTruncationIsRefused() throws {
    let bytes = file(Self.sound, data: 12)
    _ = try parse(bytes)
    for length in 0..<bytes.count {
      #expect(throws: CheckpointError.self, "\(length) bytes") { try parse(Array(bytes[..<length])) }
    }
    let error = #expect(throws: CheckpointError.self) { try parse(bytes + [0]) }
    #expect(
      error?.description
        == "f is not a sound safetensors file: it has 1 bytes after the last tensor. Write or copy it anew.")
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func randomChangesNeverCrash(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let bytes = file(Self.sound, data: 12)
    var refused = 0
    for _ in 0..<400 {
      var changed = bytes
      for _ in 0...random.next() % 4 {
        changed[Int(random.next() % UInt64(changed.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      do {
        let file = try parse(changed)
        for tensor in file.header.tensors { _ = try file.floats(of: tensor.name) }
      } catch is CheckpointError {
        refused += 1
      }
    }
    // A change within the floats, or of a letter of a name, leaves a sound file.
    #expect(200..<400 ~= refused, "\(refused)")
  }
}
