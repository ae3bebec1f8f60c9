import Numerics

/// A projection head that no longer learns: one picture's embedding depends on no other picture.
///
/// Where the head has BatchNorm, each is folded into the linear layer before it, with its running mean and variance:
/// W' = s · W and b' = s · (b - mean) + β, with s = γ / √(variance + epsilon).
public struct FrozenHead: Sendable {
  private let head: ProjectionHead
  private let weights: NetworkWeights
  /// Without BatchNorm.
  private let architecture: NetworkArchitecture

  /// - Parameters:
  ///   - parameters: laid out by `ParameterLayout`; only read.
  ///   - statistics: laid out by `StatisticsLayout`; nil without BatchNorm.
  public init(_ architecture: NetworkArchitecture, _ parameters: FloatBuffer, statistics: FloatBuffer?) {
    let folded = architecture.withoutBNInHead
    self.architecture = folded
    head = ProjectionHead(folded)
    let (from, to) = (ParameterLayout(architecture), ParameterLayout(folded))
    invariant(parameters.count == from.count && (statistics != nil) == architecture.useBNInHead)
    let buffer = FloatBuffer(count: to.count)
    let (source, target) = (HeadNames(architecture), HeadNames(folded))
    for (old, new) in zip(source.linear, target.linear) {
      for part in ["weight", "bias"] {
        let (range, place) = (from.existing("\(old).\(part)").range, to.existing("\(new).\(part)").range)
        copy(
          parameters.vector(at: range.lowerBound, count: range.count),
          into: buffer.vector(at: place.lowerBound, count: place.count))
      }
    }
    let running = StatisticsLayout(architecture)
    for (index, norm) in source.norm.enumerated() {
      guard let statistics, let means = running["\(norm).running_mean"], let variances = running["\(norm).running_var"]
      else { fatalError("no running statistics of \(norm)") }
      let weight = to.existing("\(target.linear[index]).weight").range
      let bias = buffer.vector(
        at: to.existing("\(target.linear[index]).bias").range.lowerBound, count: architecture.headHiddenDim)
      let rows = buffer.matrix(
        at: weight.lowerBound, rows: architecture.headHiddenDim, columns: weight.count / architecture.headHiddenDim)
      let (gamma, beta) = (
        from.existing("\(norm).weight").range.lowerBound, from.existing("\(norm).bias").range.lowerBound
      )
      for row in 0..<architecture.headHiddenDim {
        let deviation = (statistics[variances.range.lowerBound + row] + batchNormEpsilon).squareRoot()
        let factor = parameters[gamma + row] / deviation
        scale(rows.rows(row..<row + 1), by: factor)
        bias[row] = factor * (bias[row] - statistics[means.range.lowerBound + row]) + parameters[beta + row]
      }
    }
    weights = NetworkWeights(buffer, .fp32)
  }

  /// Embeddings of unit length, `[R, bottleneckDim]`.
  /// - Parameter features: `[R, D]`, of the backbone.
  public func embeddings(of features: Matrix) -> Matrix {
    let workspace = HeadWorkspace(architecture, maximumRows: features.rows, keepsActivations: false)
    let embeddings = FloatBuffer(count: features.rows * architecture.bottleneckDim)
      .matrix(rows: features.rows, columns: architecture.bottleneckDim)
    head.forward(features, weights: weights, workspace: workspace, into: embeddings)
    return embeddings
  }
}

extension NetworkArchitecture {
  /// The same network, had its head no BatchNorm.
  fileprivate var withoutBNInHead: NetworkArchitecture {
    guard useBNInHead else { return self }
    do {
      return try NetworkArchitecture(
        imageSize: imageSize, patchSize: patchSize, embedDim: embedDim, depth: depth, numHeads: numHeads,
        mlpRatio: mlpRatio, headHiddenDim: headHiddenDim, bottleneckDim: bottleneckDim, useBNInHead: false,
        useMeanPooling: useMeanPooling, dropPathRate: dropPathRate)
    } catch {
      fatalError("\(error)")
    }
  }
}
