import Networks
import Objective

/// What a thread that computes slices takes, without making it.
extension RunDefinition {
  /// Floats that a `SliceComputer` of this run holds.
  public var workFloats: Int {
    let (batch, views) = (configuration.sliceSize, configuration.viewsPerImage)
    // 1. The backbone: the student's groups, and the teacher's activations that nothing keeps.
    let activations = viewGroups.map(activationFloats)
    let backbone =
      (configuration.useBNInHead ? activations.reduce(0, +) : activations.max()!)
      + BackboneWorkspace.floatCount(
        architecture, maximumImages: 2 * batch, side: configuration.imageSize, keepsActivations: false,
        precision: precision)
    let interpolation = viewGroups.reduce(0) {
      $0 + BackboneWorkspace.interpolationCount(architecture, side: side(of: $1))
    }
    let pixels = viewGroups.reduce(0) { $0 + $1.count * batch * 3 * side(of: $1) * side(of: $1) }
    // 2. The head, and what goes in and out of it.
    let largest = configuration.useBNInHead ? views : viewGroups.map(\.count).max()!
    let head =
      HeadWorkspace.floatCount(
        architecture, maximumRows: largest * batch, keepsActivations: true, precision: precision)
      + HeadWorkspace.floatCount(architecture, maximumRows: 2 * batch, keepsActivations: false, precision: precision)
    let embeddings = (2 + 2 * views) * batch * (architecture.embedDim + architecture.bottleneckDim)
    // 3. The loss.
    let loss =
      ConsistencyLoss.floatCount(shape: lossShape, precision: precision)
      + (configuration.koleoWeight > 0 ? batch * batch : 0)
    return backbone + interpolation + pixels + head + embeddings + 2 * statisticsLayout.count + loss
  }

  /// The student's views that pass the backbone together: the two global ones, then local ones, a few at a time.
  var viewGroups: [Range<Int>] {
    let views = configuration.viewsPerImage
    return [0..<2]
      + stride(from: 2, to: views, by: configuration.localViewsPerGroup).map {
        $0..<min(views, $0 + configuration.localViewsPerGroup)
      }
  }

  /// Of a group's views, in pixels.
  func side(of group: Range<Int>) -> Int {
    group.lowerBound == 0 ? configuration.imageSize : configuration.localSize
  }

  /// Floats that a group's pass through the backbone keeps for its way back.
  func activationFloats(of group: Range<Int>) -> Int {
    BackboneWorkspace.floatCount(
      architecture, maximumImages: group.count * configuration.sliceSize, side: side(of: group), keepsActivations: true,
      precision: precision)
  }

  /// Of one slice's loss.
  var lossShape: LossShape {
    LossShape(
      batch: configuration.sliceSize, globalBatch: configuration.batchSize, views: configuration.viewsPerImage,
      width: configuration.bottleneckDim, blockSize: configuration.blockSize, blockCount: configuration.blocksUsed)
  }
}
