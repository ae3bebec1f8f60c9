import Checkpoints
import Durability
import Numerics
import TestSupport

/// A small network's worth of tensors: two buffers of parameters with statistics, two moments.
struct Fixture {
  static let entries = [
    TensorEntry(name: "backbone.cls_token", shape: [1, 1, 4], range: 0..<4),
    TensorEntry(name: "backbone.blocks.0.attn.qkv.weight", shape: [3, 2], range: 4..<10),
    TensorEntry(name: "head.mlp.0.bias", shape: [3], range: 10..<13),
  ]
  static let statistics = [TensorEntry(name: "head.mlp.1.running_mean", shape: [2], range: 0..<2)]

  let content: CheckpointContent

  /// - Parameter value: in every float, plus its place.
  init(_ value: Float) {
    func buffer(_ count: Int, _ shift: Float) -> FloatBuffer {
      FloatBuffer((0..<count).map { value + shift + Float($0) / 16 })
    }
    content = CheckpointContent(
      student: [
        TensorGroup(buffer: buffer(13, 0), entries: Self.entries),
        TensorGroup(buffer: buffer(2, 1), entries: Self.statistics),
      ],
      teacher: [
        TensorGroup(buffer: buffer(13, 2), entries: Self.entries),
        TensorGroup(buffer: buffer(2, 3), entries: Self.statistics),
      ],
      optimizer: [
        TensorGroup(prefix: "exp_avg.", buffer: buffer(13, 4), entries: Self.entries),
        TensorGroup(prefix: "exp_avg_sq.", buffer: buffer(13, 5), entries: Self.entries),
      ])
  }

  var floats: [[Float]] {
    (content.student + content.teacher + content.optimizer).map(\.buffer.array)
  }

  static func manifest(step: Int, run: Digest = Digest(high: 1, low: 2), oldestRow: Int = 0) -> Manifest {
    Manifest(
      run: run, incarnation: 3, step: step, epoch: step / 10, student: Digest(high: 3, low: 4),
      teacher: Digest(high: 5, low: 6), memory: Digest(high: 7, low: 8), rows: step * 64, floor: 0,
      oldestRow: oldestRow, data: DataRecord(count: 100, digest: Digest(high: 9, low: 10)),
      configuration: "arch: vit_tiny\nbatch_size: 64 # \"é\"\n",
      changes: [ConfigurationChange(step: 5, key: "lr", from: "0.1", to: "0.2")],
      optimizer: OptimizerRecord(kind: "adamw", steps: step))
  }
}

extension SimulatedStorage {
  func write(_ bytes: [UInt8], to path: String) throws {
    let file = try open(path, .replacing)
    try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    try file.synchronize()
  }
}
