import Configuration
import Networks

extension NetworkArchitecture {
  /// The network that a run trains.
  /// - Throws: `NetworkError` if its sizes do not fit together.
  public init(_ configuration: RunConfiguration) throws {
    try self.init(
      imageSize: configuration.imageSize, patchSize: configuration.patchSize, embedDim: configuration.embedDim,
      depth: configuration.depth, numHeads: configuration.numHeads, headHiddenDim: configuration.headHiddenDim,
      bottleneckDim: configuration.bottleneckDim, useBNInHead: configuration.useBNInHead,
      useMeanPooling: configuration.useMeanPooling, registers: configuration.registers,
      layerScale: Float(configuration.layerScale), dropPathRate: Float(configuration.dropPathRate))
  }
}
