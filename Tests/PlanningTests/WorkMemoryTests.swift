import Configuration
import Numerics
import Testing
import Training

/// What is planned for a thread is what its computer holds.
struct WorkMemoryTests {
  @Test(
    arguments: [
      [:], ["use_bn_in_head": "true"], ["use_mean_pooling": "true", "koleo_weight": "0.1"],
      ["local_views_per_group": "1", "local_size": "16"], ["local_crops_number": "0"],
      ["registers": "4", "layer_scale": "0.1"], ["precision": "bf16", "registers": "4", "layer_scale": "0.1"],
      ["precision": "bf16"], ["precision": "bf16", "use_bn_in_head": "true", "koleo_weight": "0.1"],
    ] as [[String: String]])
  func plannedFloatsAreThoseThatAComputerHolds(keys: [String: String]) throws {
    let definition = try smallDefinition(keys)
    let computer = try SliceComputer(definition)
    var buffers: [ObjectIdentifier: Int] = [:]
    Self.collect(computer, into: &buffers)
    #expect(buffers.values.reduce(0, +) == definition.workFloats)
  }

  /// All buffers that an object holds, itself or through what it holds.
  private static func collect(_ value: Any, into buffers: inout [ObjectIdentifier: Int]) {
    if let buffer = value as? FloatBuffer { return buffers[ObjectIdentifier(buffer)] = buffer.count }
    // Plans and layouts hold no buffers, and many words.
    if value is RunDefinition { return }
    for child in Mirror(reflecting: value).children { collect(child.value, into: &buffers) }
  }
}

/// A network of a few thousand parameters, over a memory of 64 rows.
func smallDefinition(_ keys: [String: String] = [:]) throws -> RunDefinition {
  var recipe = [
    "arch": "custom", "embed_dim": "24", "depth": "2", "num_heads": "3", "patch_size": "8", "image_size": "16",
    "local_size": "8", "local_crops_number": "2", "head_hidden_dim": "32", "bottleneck_dim": "16", "batch_size": "8",
    "slice_size": "2", "memory_size": "64", "block_size": "32", "audit_rate": "0",
  ]
  recipe.merge(keys) { $1 }
  let text = recipe.map { "\($0): \($1)" }.sorted().joined(separator: "\n")
  let configuration = try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: "recipe")])
  return try RunDefinition(configuration: configuration, pictures: configuration.batchSize)
}
