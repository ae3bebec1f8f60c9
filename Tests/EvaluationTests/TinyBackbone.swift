import Checkpoints
import Durability
import Evaluation
import Networks
import Numerics

/// Writes a backbone by itself, 16 wide with two heads, for pictures of 16 pixels.
/// - Parameters:
///   - prefix: before each tensor's name.
///   - change: of the parameters, before they are written.
func writeBackbone(
  _ path: String, prefix: String = "", seed: UInt64 = 3, changing change: (FloatBuffer) -> Void = { _ in }
) throws {
  let architecture = try NetworkArchitecture(
    imageSize: 16, patchSize: 8, embedDim: 16, depth: 2, numHeads: 2, headHiddenDim: 8, bottleneckDim: 8)
  let layout = ParameterLayout(architecture)
  let parameters = initialParameters(layout: layout, seed: seed)
  change(parameters)
  let entries = layout.tensors.filter { $0.name.hasPrefix("backbone.") }
    .map { TensorEntry(name: String($0.name.dropFirst("backbone.".count)), shape: $0.shape, range: $0.range) }
  try SafetensorsFile.write(
    [TensorGroup(prefix: prefix, buffer: parameters, entries: entries)], to: path, in: FileStorage())
}

/// A backbone that `writeBackbone` wrote.
func tinyNetwork(_ path: String) throws -> FrozenNetwork {
  try FrozenNetwork(NetworkFile(path, given: [("num-heads", "2")]))
}
