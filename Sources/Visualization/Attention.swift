import Drawing
import Evaluation
import Networks
import Numerics
import Vision

/// What the last block of a network attends to in a picture, a grid of patches for each head.
public struct Attention: Sendable {
  /// Whose queries they are.
  public enum Query: String, Sendable {
    /// The class token's, whose output is the feature.
    case classToken = "class token"
    /// All patches', averaged: with mean pooling no token but all of them make the feature.
    case meanOfPatches = "mean of the patches"
  }

  public let query: Query
  /// A probability for each patch; what is missing to 1 went to the class token and the registers.
  public let heads: [HeatMap]

  /// Of the heads.
  public var mean: HeatMap {
    let first = heads[0]
    let values = first.values.indices.map { index in
      heads.reduce(Float(0)) { $0 + $1.values[index] } / Float(heads.count)
    }
    return HeatMap(columns: first.columns, rows: first.rows, values: values)
  }
}

/// Shows pictures to a network, one at a time, and reads what its last block attends to. Owned by one thread.
public struct AttentionReader {
  private let network: FrozenNetwork
  private let backbone: Backbone
  private let weights: NetworkWeights
  private let workspace: BackboneWorkspace
  private let pixels: Matrix
  private let feature: Matrix
  private var resampler = Resampler()
  /// Of the squares that the network is shown, in pixels.
  public let side: Int

  /// - Parameter side: other than the trained one, position embeddings are interpolated.
  /// - Throws: `VisualizationError.unevenSide`.
  public init(_ network: FrozenNetwork, side: Int) throws {
    let architecture = network.architecture
    guard side >= architecture.patchSize, side % architecture.patchSize == 0 else {
      throw VisualizationError.unevenSide(side: side, patchSize: architecture.patchSize)
    }
    self.network = network
    self.side = side
    backbone = Backbone(architecture)
    weights = NetworkWeights(network.parameters, .fp32)
    workspace = try BackboneWorkspace(architecture, maximumImages: 1, side: side, keepsActivations: true)
    pixels = FloatBuffer(count: 3 * side * side).matrix(rows: 1, columns: 3 * side * side)
    feature = FloatBuffer(count: architecture.embedDim).matrix(rows: 1, columns: architecture.embedDim)
  }

  /// Bytes that a reader works with.
  public static func bytes(of network: FrozenNetwork, side: Int) -> Int {
    4
      * (BackboneWorkspace.floatCount(network.architecture, maximumImages: 1, side: side, keepsActivations: true)
        + BackboneWorkspace.interpolationCount(network.architecture, side: side) + 3 * side * side)
  }

  /// - Parameter name: of the picture, for people.
  /// - Returns: the square that the network was shown, and what it attended to.
  /// - Throws: `VisualizationError.notFinite`.
  public mutating func read(_ picture: Picture, named name: String) throws -> (square: Picture, attention: Attention) {
    let square = resampler.square(of: picture, side: side)
    network.normalization.write(square, into: pixels.row(at: 0))
    backbone.forward(pixels, weights: weights, workspace: workspace, into: feature)
    let architecture = network.architecture
    let probabilities = workspace.lastAttention(ofImage: 0)
    guard isFinite(feature.row(at: 0)), (0..<probabilities.rows).allSatisfy({ isFinite(probabilities.row(at: $0)) })
    else {
      throw VisualizationError.notFinite(picture: name)
    }
    let grid = side / architecture.patchSize
    let queries = probabilities.rows / architecture.numHeads
    // Of all tokens' queries the first are the class token's and the registers', which make no feature then.
    let leading = architecture.leadingTokens
    let asked = queries == 1 ? 0..<1 : leading..<queries
    let heads = (0..<architecture.numHeads).map { head in
      var values = [Float](repeating: 0, count: grid * grid)
      for query in asked {
        let row = probabilities.row(at: head * queries + query)
        for patch in values.indices { values[patch] += row[leading + patch] / Float(asked.count) }
      }
      return HeatMap(columns: grid, rows: grid, values: values)
    }
    return (square, Attention(query: queries == 1 ? .classToken : .meanOfPatches, heads: heads))
  }
}
