import Networks
import Testing

@Suite("Tensors by their layer")
struct LayerTests {
  @Test func everyTensorIsInOneLayerInOrder() throws {
    let layout = ParameterLayout(
      try NetworkArchitecture(imageSize: 224, patchSize: 16, embedDim: 384, depth: 12, numHeads: 6))
    let layers = layout.layers
    #expect(layers.flatMap { Array($0.tensors) } == Array(layout.tensors.indices))
    #expect(layers.prefix(4).map(\.name) == ["cls_token", "pos_embed", "patch_embed", "blocks.0"])
    #expect(layers.contains { $0.name == "blocks.11" && $0.tensors.count == 12 })
    #expect(Set(layers.map(\.name)).count == layers.count)
  }
}
