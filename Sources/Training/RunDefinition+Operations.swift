/// Floating-point operations of a training step, as the published method has them.
extension RunDefinition {
  /// Of one image: every view forward and backward through the student, the global ones through the teacher, and the
  /// loss against all blocks. Backward costs two forward passes, of the loss one: the memory has no gradient.
  ///
  /// Source: the method's definition; what this program finds a way not to compute (the last block's patch tokens, the
  /// pictures' own gradient, dropped branches) counts as done.
  public var operationsPerImage: Double {
    let configuration = configuration
    let global = architecture.backboneOperations(side: configuration.imageSize) + architecture.headOperations
    let local = architecture.backboneOperations(side: configuration.localSize) + architecture.headOperations
    let student = 3 * (2 * global + Double(configuration.localCropsNumber) * local)
    let teacher = 2 * global
    return student + teacher + lossOperationsPerImage
  }

  /// Of one image: logits of every view and both teacher views against every row used, and the student's gradient.
  public var lossOperationsPerImage: Double {
    let rows = Double(configuration.blocksUsed * configuration.blockSize * configuration.bottleneckDim)
    return 2 * rows * (2 * Double(configuration.viewsPerImage) + 2)
  }
}
