import Checkpoints
import Networks
import Numerics
import TestSupport
import Testing
import Training
import WeightFiles

/// Weights of others as the first ones of a run.
@Suite struct PretrainedNetworkTests {
  let definition: RunDefinition
  let original: FloatBuffer
  let file: WeightsFile

  init() throws {
    definition = try smallDefinition(["seed": "9"])
    original = initialParameters(layout: definition.layout, seed: 3)
    file = WeightsFile(original, definition.layout)
  }

  private func read(_ file: WeightsFile, for definition: RunDefinition? = nil) throws -> PretrainedWeights {
    let (path, storage) = try file.written()
    let definition = definition ?? self.definition
    return try PretrainedNetwork(path, in: storage).weights(
      definition.layout, definition.statisticsLayout, seed: definition.configuration.seed)
  }

  /// The floats of the backbone, or of the head.
  private func part(_ parameters: FloatBuffer, head: Bool = false) -> [Float] {
    definition.layout.tensors.filter { $0.name.hasPrefix("backbone.") != head }
      .flatMap { $0.range.map { parameters.vector[$0] } }
  }

  private func tensor(_ name: String, of weights: PretrainedWeights) throws -> [Float] {
    try #require(definition.layout[name]).range.map { weights.parameters.vector[$0] }
  }

  private static func transformers(_ name: String) -> String {
    var name = name.replacing("blocks.", with: "encoder.layer.")
    for (own, other) in [
      ("patch_embed.proj", "embeddings.patch_embeddings.projection"), ("pos_embed", "embeddings.position_embeddings"),
      ("cls_token", "embeddings.cls_token"), ("attn.proj", "attention.output.dense"), ("norm1", "layernorm_before"),
      ("norm2", "layernorm_after"), ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense"),
    ] {
      name = name.replacing(own, with: other)
    }
    return name.hasPrefix("norm.") ? "layernorm" + name.dropFirst("norm".count) : name
  }

  private var ofTransformers: WeightsFile {
    file.splitting(["query", "key", "value"]) { $0.replacing("attn.qkv", with: "attention.attention.\($1)") }
      .backbone(Self.transformers)
  }

  @Test func aBackboneHasTheNamesOfTheField() throws {
    let files = [
      file.backbone { $0 }, file.backbone { "module." + $0 }, ofTransformers,
      WeightsFile(tensors: Dictionary(uniqueKeysWithValues: ofTransformers.tensors.map { ("vit." + $0, $1) })),
      file.splitting(["query", "key", "value"]) { $0.replacing("attn.qkv", with: "attention.attention.\($1)") }
        .backbone {
          // DINOv2's norms and MLPs are called as timm's.
          $0.hasPrefix("blocks.") && !$0.contains("attn.proj")
            ? $0.replacing("blocks.", with: "encoder.layer.") : Self.transformers($0)
        },
    ]
    for file in files {
      let weights = try read(file)
      #expect(part(weights.parameters) == part(original))
      // The run's own seed, not the file's.
      #expect(
        part(weights.parameters, head: true)
          == part(initialParameters(layout: definition.layout, seed: 9), head: true))
      #expect(weights.sentences.count == 1 && weights.sentences[0].contains("The head is drawn"))
    }
  }

  @Test func aHeadOfTheSameShapeComesAlong() throws {
    let whole = try read(file)
    #expect(whole.parameters.digest == original.digest)
    var other = file
    other.tensors["head.mlp.4.bias"] = ([4], [1, 2, 3, 4])
    let drawn = initialParameters(layout: definition.layout, seed: 9)
    #expect(try part(read(other).parameters, head: true) == part(drawn, head: true))
  }

  /// Both networks of a run in one file: the teacher is what is judged, and what is gone on from.
  @Test func theTeacherIsTaken() throws {
    var both = WeightsFile()
    for (name, tensor) in file.tensors {
      both.tensors["student." + name] = (tensor.shape, tensor.floats.map { $0 + 1 })
      both.tensors["teacher." + name] = tensor
    }
    #expect(try read(both).parameters.digest == original.digest)
  }

  @Test func layerScaleIsMultipliedIntoTheLayerBefore() throws {
    var scaled = file.backbone { $0 }
    let gamma = (0..<16).map { Float($0) / 8 }
    scaled.tensors["blocks.1.ls1.gamma"] = ([16], gamma)
    scaled.tensors["blocks.1.ls2.gamma"] = ([16], gamma)
    let weights = try read(scaled)
    for layer in ["attn.proj", "mlp.fc2"] {
      for kind in ["weight", "bias"] {
        let name = "backbone.blocks.1.\(layer).\(kind)"
        let before = try #require(file.tensors[name]).floats
        let width = before.count / 16
        #expect(try tensor(name, of: weights) == before.indices.map { before[$0] * gamma[$0 / width] })
      }
    }
    #expect(
      try tensor("backbone.blocks.0.attn.proj.weight", of: weights)
        == #require(file.tensors["backbone.blocks.0.attn.proj.weight"]).floats)
    #expect(weights.sentences.contains { $0.contains("2 LayerScales") })
  }

  @Test func layerScaleIsKeptWhereTheNetworkHasOne() throws {
    let scaling = try smallDefinition(["layer_scale": "0.5"])
    let named = "backbone.blocks.1.ls2.gamma"
    func gamma(_ weights: PretrainedWeights) throws -> [Float] {
      try #require(scaling.layout[named]).range.map { weights.parameters.vector[$0] }
    }
    var made = WeightsFile(initialParameters(layout: scaling.layout, seed: 3), scaling.layout).backbone { $0 }
    let factors = (0..<16).map { Float($0) / 8 }
    made.tensors["blocks.1.ls2.gamma"] = ([16], factors)
    let kept = try read(made, for: scaling)
    #expect(try gamma(kept) == factors)
    #expect(!kept.sentences.contains { $0.contains("LayerScale") })
    let projection = try #require(scaling.layout["backbone.blocks.1.mlp.fc2.weight"])
    #expect(
      try projection.range.map { kept.parameters.vector[$0] }
        == #require(made.tensors["blocks.1.mlp.fc2.weight"]).floats)

    // A file without computes the same with factors of 1.
    let absent = try read(file, for: scaling)
    #expect(try gamma(absent).allSatisfy { $0 == 1 })
    #expect(absent.sentences.contains { $0.contains("no LayerScale") && $0.contains("begins at 1") })

    let others = ofTransformers
    var lambda = others
    for block in 0..<2 {
      for branch in 1...2 { lambda.tensors["encoder.layer.\(block).layer_scale\(branch).lambda1"] = ([16], factors) }
    }
    #expect(try gamma(read(lambda, for: scaling)) == factors)
  }

  /// timm, DINOv2, and transformers call them differently; some give them positions of their own.
  @Test func registersAreRead() throws {
    let wanted = try smallDefinition(["registers": "4"])
    let parameters = initialParameters(layout: wanted.layout, seed: 3)
    func registers(_ weights: PretrainedWeights) throws -> [Float] {
      try #require(wanted.layout["backbone.reg_token"]).range.map { weights.parameters.vector[$0] }
    }
    let timm = WeightsFile(parameters, wanted.layout).backbone { $0 }
    let stored = try #require(timm.tensors["reg_token"]).floats
    func renamed(_ name: String) -> WeightsFile {
      var file = timm
      file.tensors[name] = file.tensors.removeValue(forKey: "reg_token")
      return file
    }
    for file in [timm, renamed("register_tokens")] { #expect(try registers(read(file, for: wanted)) == stored) }
    let transformers = WeightsFile(parameters, wanted.layout)
      .splitting(["query", "key", "value"]) { $0.replacing("attn.qkv", with: "attention.attention.\($1)") }
      .backbone { $0 == "reg_token" ? "embeddings.register_tokens" : Self.transformers($0) }
    #expect(try registers(read(transformers, for: wanted)) == stored)

    // No positions but the patches', then positions of class token, registers and patches.
    let position = try #require(timm.tensors["pos_embed"]).floats
    var bare = timm
    bare.tensors["pos_embed"] = ([1, 16, 16], Array(position[16...]))
    let positions = try #require(wanted.layout["backbone.pos_embed"]).range
    let none = try read(bare, for: wanted)
    #expect(positions.prefix(16).allSatisfy { none.parameters.vector[$0] == 0 })
    #expect(positions.dropFirst(16).map { none.parameters.vector[$0] } == Array(position[16...]))
    var every = timm
    every.tensors["pos_embed"] = (
      [1, 21, 16], Array(position[..<16]) + [Float](repeating: 2, count: 64) + Array(position[16...])
    )
    let added = try read(every, for: wanted)
    #expect(try registers(added) == stored.map { $0 + 2 })
    #expect(positions.map { added.parameters.vector[$0] } == position)

    // Neither may have other registers than the other.
    func refused(_ file: WeightsFile, for definition: RunDefinition, has: Int, not wanted: Int) {
      let keys = [KeyOfFile(name: "registers", file: has, wanted: wanted)]
      let error = WeightFileError.otherNetwork(file: "weights", keys: keys)
      #expect(error.description.hasSuffix("Give the file's: --registers \(has)."))
      #expect(throws: error) { try read(file, for: definition) }
    }
    refused(timm, for: definition, has: 4, not: 0)
    refused(file, for: wanted, has: 0, not: 4)
    var odd = timm
    odd.tensors["reg_token"] = ([1, 4, 8], [Float](repeating: 0, count: 32))
    #expect(
      throws: WeightFileError.noBackbone(file: "weights", reason: "its register tokens have shape [1, 4, 8]")
    ) { try read(odd, for: wanted) }
  }

  @Test func positionEmbeddingsAreInterpolatedAsForViewsOfAnotherSize() throws {
    let large = try smallDefinition(["image_size": "48"])
    var made = WeightsFile(initialParameters(layout: large.layout, seed: 3), large.layout).backbone { $0 }
    let stored = try #require(made.tensors["pos_embed"]).floats
    let weights = try read(made)
    let patches = Array(stored[16...])
    #expect(
      try tensor("backbone.pos_embed", of: weights)
        == stored[..<16] + positionEmbeddings(of: patches, trainedSide: 6, side: 4, width: 16))
    #expect(weights.sentences.contains { $0.contains("6 x 6 patches, are interpolated to 4 x 4") })
    // What is the same everywhere stays so.
    made.tensors["pos_embed"] = ([1, 37, 16], [Float](repeating: 0.5, count: 37 * 16))
    #expect(try tensor("backbone.pos_embed", of: read(made)).allSatisfy { abs($0 - 0.5) < 1e-6 })
  }

  /// A network without a position for its class token adds 0 to it; DeiT's has one more, of a token that is left out.
  @Test(arguments: [0, 2]) func positionsBeforeThePatchesAreCounted(leading: Int) throws {
    var file = file.backbone { $0 }
    let stored = try #require(file.tensors["pos_embed"]).floats
    let first = [Float](stored[..<16]) + [Float](repeating: 7, count: 16)
    file.tensors["pos_embed"] = ([1, 16 + leading, 16], Array(first.prefix(leading * 16) + stored[16...]))
    let read = try tensor("backbone.pos_embed", of: read(file))
    #expect(Array(read[16...]) == Array(stored[16...]))
    #expect(Array(read[..<16]) == (leading == 0 ? [Float](repeating: 0, count: 16) : Array(stored[..<16])))
  }

  @Test func whatIsNotThereIsNamed() throws {
    var bare = file.backbone { $0 }
    for name in ["norm.weight", "norm.bias", "blocks.0.attn.qkv.bias", "patch_embed.proj.bias"] {
      bare.tensors[name] = nil
    }
    bare.tensors["mask_token"] = ([1, 1, 16], [Float](repeating: 1, count: 16))
    let weights = try read(bare)
    #expect(weights.sentences.contains { $0.contains("no norm.weight, norm.bias") })
    #expect(weights.sentences.contains { $0.contains("1 of its tensors") && $0.contains("'mask_token'") })
    // A bias that is absent adds nothing.
    #expect(try tensor("backbone.patch_embed.proj.bias", of: weights).allSatisfy { $0 == 0 })

    bare.tensors["blocks.1.mlp.fc1.weight"] = nil
    #expect(throws: WeightFileError.missingTensors(file: "weights", names: ["blocks.1.mlp.fc1.weight"])) {
      try read(bare)
    }
  }

  @Test func otherNetworksAreRefused() throws {
    let deep = try smallDefinition(["depth": "3", "embed_dim": "32"])
    #expect(
      throws: WeightFileError.otherNetwork(
        file: "weights",
        keys: [KeyOfFile(name: "embed_dim", file: 16, wanted: 32), KeyOfFile(name: "depth", file: 2, wanted: 3)])
    ) {
      try read(file, for: deep)
    }
    var none = file
    none.tensors["backbone.cls_token"] = nil
    #expect(throws: WeightFileError.noBackbone(file: "weights", reason: "no tensor is called cls_token")) {
      try read(none)
    }
    var odd = file
    odd.tensors["backbone.pos_embed"] = ([1, 20, 16], [Float](repeating: 0, count: 320))
    #expect(
      throws: WeightFileError.noBackbone(
        file: "weights", reason: "pos_embed has 20 tokens, which are no square and a class token")
    ) { try read(odd) }
    var infinite = file
    infinite.tensors["backbone.norm.bias"]?.floats[3] = .infinity
    #expect(throws: WeightFileError.notFinite(file: "weights", tensor: "backbone.norm.bias", count: 1)) {
      try read(infinite)
    }
    var wide = file
    wide.tensors["backbone.blocks.0.mlp.fc1.bias"] = ([32], [Float](repeating: 0, count: 32))
    #expect(throws: CheckpointError.self) { try read(wide) }
  }
}
