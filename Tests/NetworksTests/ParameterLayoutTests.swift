import Networks
import Numerics
import Testing

@Suite("A layout names the reference's tensors, one after the other")
struct ParameterLayoutTests {
  @Test func tensorsFollowOneAnotherWithoutGaps() throws {
    for test in NetworkCase.all {
      let layout = ParameterLayout(try test.architecture)
      var end = 0
      for tensor in layout.tensors {
        #expect(tensor.range.lowerBound == end)
        #expect(tensor.range.count == tensor.shape.reduce(1, *))
        #expect(layout[tensor.name] == tensor)
        end = tensor.range.upperBound
      }
      #expect(layout.count == end)
    }
  }

  @Test func vitSmallHasItsPublishedSize() throws {
    let layout = ParameterLayout(
      try NetworkArchitecture(imageSize: 224, patchSize: 16, embedDim: 384, depth: 12, numHeads: 6))
    let backbone = layout.tensors.filter { $0.name.hasPrefix("backbone.") }
    #expect(backbone.reduce(0) { $0 + $1.range.count } == 21_665_664)
    #expect(layout["backbone.pos_embed"]?.shape == [1, 197, 384])
    #expect(layout["backbone.patch_embed.proj.weight"]?.shape == [384, 3, 16, 16])
    #expect(layout["head.mlp.4.weight"]?.shape == [256, 2048])
  }

  @Test func decayIsForAllButOneDimensionalTensors() throws {
    let layout = ParameterLayout(try NetworkCase(description: "BatchNorm", useBNInHead: true).architecture)
    for name in ["backbone.cls_token", "backbone.pos_embed", "backbone.blocks.0.attn.qkv.weight"] {
      #expect(layout[name]?.decays == true, "\(name)")
    }
    for name in ["backbone.norm.weight", "backbone.blocks.1.mlp.fc1.bias", "head.mlp.1.weight"] {
      #expect(layout[name]?.decays == false, "\(name)")
    }
  }

  /// timm's `vit_small_patch14_reg4_dinov2` has these, but for the class token's position.
  @Test func registersAndLayerScaleStandWhereTimmHasThem() throws {
    let plain = ParameterLayout(try NetworkCase(description: "plain", depth: 1).architecture)
    let layout = ParameterLayout(
      try NetworkCase(description: "both", depth: 1, registers: 4, layerScale: 1e-5).architecture)
    let names = layout.backboneTensors.map(\.name)
    #expect(
      names == [
        "cls_token", "reg_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias",
        "blocks.0.norm1.weight", "blocks.0.norm1.bias", "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias",
        "blocks.0.attn.proj.weight", "blocks.0.attn.proj.bias", "blocks.0.ls1.gamma", "blocks.0.norm2.weight",
        "blocks.0.norm2.bias", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc1.bias", "blocks.0.mlp.fc2.weight",
        "blocks.0.mlp.fc2.bias", "blocks.0.ls2.gamma", "norm.weight", "norm.bias",
      ])
    #expect(plain.backboneTensors.map(\.name) == names.filter { $0 != "reg_token" && !$0.hasSuffix(".gamma") })
    #expect(layout["backbone.reg_token"]?.shape == [1, 4, 12] && layout["backbone.reg_token"]?.decays == true)
    #expect(layout["backbone.blocks.0.ls1.gamma"]?.shape == [12])
    #expect(layout["backbone.blocks.0.ls2.gamma"]?.decays == false)
    #expect(
      layout["backbone.pos_embed"] != nil && layout["backbone.pos_embed"]?.shape == plain["backbone.pos_embed"]?.shape)
  }

  @Test func poolingAndBatchNormChangeTheNames() throws {
    let mean = ParameterLayout(try NetworkCase(description: "mean", useMeanPooling: true).architecture)
    #expect(mean["backbone.fc_norm.weight"] != nil && mean["backbone.norm.weight"] == nil)
    let architecture = try NetworkCase(description: "BatchNorm", useBNInHead: true).architecture
    #expect(
      ParameterLayout(architecture).tensors.map(\.name).filter { $0.hasPrefix("head.") && $0.hasSuffix(".weight") }
        == [0, 1, 3, 4, 6].map { "head.mlp.\($0).weight" })
    #expect(
      StatisticsLayout(architecture).tensors.map(\.name)
        == [1, 4].flatMap { ["head.mlp.\($0).running_mean", "head.mlp.\($0).running_var"] })
    #expect(StatisticsLayout(try NetworkCase(description: "plain").architecture).count == 0)
  }

  @Test func sizesThatDoNotFitAreRefusedAndSaysWhich() {
    func error(
      imageSize: Int = 32, embedDim: Int = 12, depth: Int = 2, registers: Int = 0, layerScale: Float = 0,
      dropPathRate: Float = 0
    ) -> NetworkError? {
      do throws(NetworkError) {
        _ = try NetworkArchitecture(
          imageSize: imageSize, patchSize: 4, embedDim: embedDim, depth: depth, numHeads: 3, registers: registers,
          layerScale: layerScale, dropPathRate: dropPathRate)
        return nil
      } catch { return error }
    }
    #expect(error() == nil)
    #expect(error(imageSize: 33) == .unevenPatches(side: 33, patchSize: 4))
    #expect(error(embedDim: 13) == .unevenHeads(embedDim: 13, numHeads: 3))
    #expect(error(depth: 0) == .notPositive(key: "depth", value: 0))
    #expect(error(dropPathRate: 1) == .dropPathRate(1))
    #expect(error(registers: -1) == .registers(-1))
    #expect(error(layerScale: -0.1) == .layerScale(-0.1))
    #expect(error(layerScale: .infinity) == .layerScale(.infinity))
    #expect(
      error(embedDim: 13)?.description
        == "embed_dim 13 cannot be shared by num_heads 3. Give a width that is a multiple of the heads.")
  }
}
