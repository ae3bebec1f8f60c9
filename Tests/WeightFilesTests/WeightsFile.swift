import Checkpoints
import Configuration
import Durability
import Networks
import Numerics
import TestSupport
import Training

/// A file of tensors as somebody else would write it.
struct WeightsFile {
  /// By name: shape and floats.
  var tensors: [String: (shape: [Int], floats: [Float])] = [:]

  /// Written to a simulated disk of its own.
  func written() throws -> (path: String, storage: SimulatedStorage) {
    let storage = SimulatedStorage()
    let buffer = FloatBuffer(tensors.sorted { $0.key < $1.key }.flatMap(\.value.floats))
    var first = 0
    let entries = tensors.sorted { $0.key < $1.key }.map { name, tensor in
      defer { first += tensor.floats.count }
      return TensorEntry(name: name, shape: tensor.shape, range: first..<first + tensor.floats.count)
    }
    try SafetensorsFile.write([TensorGroup(buffer: buffer, entries: entries)], to: "weights", in: storage)
    return ("weights", storage)
  }
}

extension WeightsFile {
  /// All tensors of a network, with massl's names.
  init(_ parameters: FloatBuffer, _ layout: ParameterLayout) {
    for tensor in layout.tensors {
      tensors[tensor.name] = (tensor.shape, tensor.range.map { parameters.vector[$0] })
    }
  }

  /// The backbone alone, renamed.
  func backbone(_ rename: (String) -> String) -> WeightsFile {
    var file = WeightsFile()
    for (name, tensor) in tensors where name.hasPrefix("backbone.") {
      file.tensors[rename(String(name.dropFirst("backbone.".count)))] = tensor
    }
    return file
  }

  /// With query, key and value as tensors of their own: timm's `blocks.0.attn.qkv.weight` becomes three.
  func splitting(_ names: [String], _ rename: (String, String) -> String) -> WeightsFile {
    var file = self
    for (name, tensor) in tensors where name.contains("attn.qkv.") {
      file.tensors[name] = nil
      let third = tensor.floats.count / 3
      for (part, word) in names.enumerated() {
        file.tensors[rename(name, word)] = (
          [tensor.shape[0] / 3] + tensor.shape.dropFirst(), Array(tensor.floats[part * third..<(part + 1) * third])
        )
      }
    }
    return file
  }
}

/// A run of a network 16 wide and 2 deep, for pictures of 32 pixels in patches of 8.
func smallDefinition(_ flags: [String: String] = [:]) throws -> RunDefinition {
  var keys = [
    "arch": "custom", "embed_dim": "16", "depth": "2", "num_heads": "2", "patch_size": "8", "image_size": "32",
    "local_size": "16", "head_hidden_dim": "24", "bottleneck_dim": "8", "batch_size": "4", "slice_size": "2",
    "memory_size": "64", "block_size": "16",
  ]
  keys.merge(flags) { $1 }
  let layer = try ConfigurationLayer(flags: keys.map { ($0.key, $0.value) })
  return try RunDefinition(configuration: RunConfiguration(layers: [layer]), pictures: 12)
}
