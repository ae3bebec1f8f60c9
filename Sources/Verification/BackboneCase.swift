import Checkpoints
import Durability
import Networks
import Numerics
import Training
import WeightFiles

/// Replays a backbone of another library: its weights, under its own names, are read as those of `--init` are; features
/// and gradients are compared.
///
/// Of the tensors, `case.pixels` and `case.feature_gradient` go in, `case.features` and `case.gradient.NAME` come out.
enum BackboneCase {
  static func replay(_ fields: CaseFields, _ tensors: SafetensorsFile) throws -> [GoldenCase.Comparison] {
    let architecture = try architecture(fields)
    let layout = ParameterLayout(architecture)
    let parameters = FloatBuffer(count: layout.count)
    _ = try PretrainedNetwork(tensors.path).read(layout, into: parameters)
    let pixels = try tensors.floats(of: "case.pixels")
    let (side, images) = (architecture.imageSize, try fields.integer("images"))
    guard pixels.count == images * 3 * side * side else {
      throw VerificationError.notACase(fields.path, problem: "its pictures are not \(images) of \(side) pixels")
    }

    // 1. Forward.
    let backbone = Backbone(architecture)
    let workspace = try BackboneWorkspace(architecture, maximumImages: images, side: side, keepsActivations: true)
    let weights = NetworkWeights(parameters, .fp32)
    let features = FloatBuffer(count: images * architecture.embedDim)
      .matrix(rows: images, columns: architecture.embedDim)
    backbone.forward(
      FloatBuffer(pixels).matrix(rows: images, columns: 3 * side * side), weights: weights, workspace: workspace,
      into: features)
    let theirs = try tensors.floats(of: "case.features")
    var comparisons = [
      GoldenCase.Comparison(
        quantity: "features", difference: largestDifference(features.array, theirs), bound: 5e-5 * scale(theirs))
    ]

    // 2. Backward.
    let featureGradient = try tensors.floats(of: "case.feature_gradient")
    guard featureGradient.count == features.rows * features.columns else {
      throw VerificationError.notACase(fields.path, problem: "'case.feature_gradient' is not of the features' shape")
    }
    let gradient = FloatBuffer(count: layout.count)
    backbone.backward(
      FloatBuffer(featureGradient).matrix(rows: images, columns: architecture.embedDim), weights: weights,
      workspace: workspace, gradient: gradient)
    let references = try layout.backboneTensors.map { try tensors.floats(of: "case.gradient." + $0.name) }
    let largest = references.map(scale).max() ?? 0
    for ((name, tensor), reference) in zip(layout.backboneTensors, references) {
      // Whether class token and registers have positions differs from network to network: the patches' are compared.
      let patches = architecture.trainedSide * architecture.trainedSide * architecture.embedDim
      let last = name == "pos_embed" ? patches : reference.count
      let ours = gradient.array[tensor.range].suffix(last)
      comparisons.append(
        GoldenCase.Comparison(
          quantity: name, difference: largestDifference(Array(ours), Array(reference.suffix(last))),
          bound: 1e-4 * scale(reference) + 1e-5 * largest))
    }
    return comparisons
  }

  private static func architecture(_ fields: CaseFields) throws -> NetworkArchitecture {
    try NetworkArchitecture(
      imageSize: fields.integer("image_size"), patchSize: fields.integer("patch_size"),
      embedDim: fields.integer("embed_dim"), depth: fields.integer("depth"), numHeads: fields.integer("heads"),
      headHiddenDim: 1, bottleneckDim: 1, useMeanPooling: fields.flag("use_mean_pooling"),
      registers: fields.registers, layerScale: Float(fields.layerScale), dropPathRate: 0)
  }
}
