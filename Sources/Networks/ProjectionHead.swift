/// The projection head: features to embeddings of unit length, and back.
///
/// Linear, GELU, Linear, GELU, Linear, then x / max(|x|, 1e-6); with BatchNorm (of the batch's own statistics, epsilon
/// 1e-5) before each GELU. Below R rows, H hidden. Gradients of parameters are added to, those of activations
/// overwritten.
import Numerics

let batchNormEpsilon: Float = 1e-5
let normFloor: Float = 1e-6

/// A head knows its sizes and where its tensors lie; weights, gradients and activations are its callers'.
public struct ProjectionHead: Sendable {
  public let architecture: NetworkArchitecture
  let layout: ParameterLayout
  let statisticsLayout: StatisticsLayout
  let linear: [Linear]
  /// One before each GELU, or none.
  let norm: [Norm]

  public init(_ architecture: NetworkArchitecture) {
    self.architecture = architecture
    let layout = ParameterLayout(architecture)
    let names = HeadNames(architecture)
    linear = names.linear.map { Linear(layout, $0) }
    norm = names.norm.map { Norm(layout, $0) }
    self.layout = layout
    statisticsLayout = StatisticsLayout(architecture)
  }
}

/// Activations and scratch of a head for up to `maximumRows` rows; sized once.
public final class HeadWorkspace {
  public let architecture: NetworkArchitecture
  public let maximumRows: Int
  public let keepsActivations: Bool

  let layers: [Layer]
  let scratch: [Matrix]
  /// |x| of each row before it was normalised.
  let norms: Vector
  /// What the last `forward` was given and what it gave; held for `backward`.
  var features: Matrix?
  var embeddings: Matrix?

  /// Who looks at every layer's values; nil, as a rule, for nobody.
  public var observer: LayerObserver?

  struct Layer {
    /// `[R, H]`: before BatchNorm, without it before the GELU; with bias.
    let product: Matrix
    /// `[R, H]`: before the GELU. Without BatchNorm it is `product`.
    let preactivation: Matrix
    let activation: Matrix
    let mean: Vector
    let inverseDeviation: Vector
    let variance: Vector
  }

  /// Floats that a workspace of these sizes takes.
  public static func floatCount(_ architecture: NetworkArchitecture, maximumRows: Int, keepsActivations: Bool) -> Int {
    let matrix = maximumRows * architecture.headHiddenDim
    let layer = (architecture.useBNInHead ? 3 : 2) * matrix + 3 * architecture.headHiddenDim
    return (keepsActivations ? 2 * layer + 2 * matrix : layer) + maximumRows
  }

  /// - Parameter keepsActivations: whether `backward` may be called; if not, both layers share their memory.
  public init(_ architecture: NetworkArchitecture, maximumRows: Int, keepsActivations: Bool) {
    invariant(maximumRows > 0)
    self.architecture = architecture
    self.maximumRows = maximumRows
    self.keepsActivations = keepsActivations
    let hidden = architecture.headHiddenDim
    func matrix() -> Matrix { FloatBuffer(count: maximumRows * hidden).matrix(rows: maximumRows, columns: hidden) }
    func layer() -> Layer {
      let product = matrix()
      return Layer(
        product: product, preactivation: architecture.useBNInHead ? matrix() : product, activation: matrix(),
        mean: FloatBuffer(count: hidden).vector, inverseDeviation: FloatBuffer(count: hidden).vector,
        variance: FloatBuffer(count: hidden).vector)
    }
    let first = layer()
    layers = [first, keepsActivations ? layer() : first]
    scratch = keepsActivations ? [matrix(), matrix()] : []
    norms = FloatBuffer(count: maximumRows).vector
  }
}

// MARK: - Forward

extension ProjectionHead {
  /// Turns features into embeddings.
  ///
  /// - Parameters:
  ///   - features: `[R, D]`; not written before `backward`. With BatchNorm at least 2 rows, all that share statistics.
  ///   - parameters: laid out by `ParameterLayout`.
  ///   - workspace: for at least R rows.
  ///   - embeddings: `[R, bottleneckDim]`, overwritten; rows of unit length. Not written before `backward`.
  ///   - statistics: laid out by `StatisticsLayout`, overwritten with this batch's means and variances (unbiased:
  ///     dividing by R - 1, as running variances want them); nil without BatchNorm or where nobody wants them.
  public func forward(
    _ features: Matrix, parameters: FloatBuffer, workspace: HeadWorkspace, into embeddings: Matrix,
    statistics: FloatBuffer? = nil
  ) {
    let rows = 0..<features.rows
    invariant(workspace.architecture == architecture, "a workspace of another architecture")
    invariant(rows.count <= workspace.maximumRows && embeddings.rows == rows.count)
    invariant(parameters.count == layout.count)
    invariant(norm.isEmpty || rows.count > 1, "BatchNorm of one row")
    invariant(statistics == nil || statistics?.count == statisticsLayout.count)
    workspace.features = features
    workspace.embeddings = embeddings
    var input = features
    for (index, layer) in workspace.layers.enumerated() {
      let (product, preactivation) = (layer.product.rows(rows), layer.preactivation.rows(rows))
      let (weight, bias) = (linear[index].weight(parameters), linear[index].bias(parameters))
      // Where both layers share memory, the first one's activation is still read when the second's product is made,
      // and no longer when its own activation is.
      multiply(input, .asIs, weight, .transposed, into: product)
      let activation = layer.activation.rows(rows)
      if norm.isEmpty {
        geluAddingBias(product, bias: bias, into: activation)
      } else {
        addRow(bias, toRowsOf: product)
        workspace.show({ $0.linear[index] }, product)
        normalizeBatch(index, product, parameters, layer, statistics, into: preactivation)
        gelu(preactivation, into: activation)
      }
      workspace.show({ norm.isEmpty ? $0.linear[index] : $0.norm[index] }, activation)
      input = activation
    }
    multiply(input, .asIs, linear[2].weight(parameters), .transposed, into: embeddings)
    addRow(linear[2].bias(parameters), toRowsOf: embeddings)
    workspace.show({ $0.linear[2] }, embeddings)
    normalizeRows(
      embeddings, floor: normFloor, into: embeddings, keeping: workspace.norms.vector(at: 0, count: rows.count))
    workspace.show({ _ in "head" }, embeddings)
  }

  private func normalizeBatch(
    _ index: Int, _ product: Matrix, _ parameters: FloatBuffer, _ layer: HeadWorkspace.Layer,
    _ statistics: FloatBuffer?, into preactivation: Matrix
  ) {
    batchNorm(
      product, weight: norm[index].weight(parameters), bias: norm[index].bias(parameters), epsilon: batchNormEpsilon,
      into: preactivation, keeping: layer.mean, inverseDeviation: layer.inverseDeviation, variance: layer.variance)
    guard let statistics else { return }
    // Means, then variances, of the first norm, then of the second.
    let hidden = architecture.headHiddenDim
    let variance = statistics.vector(at: (2 * index + 1) * hidden, count: hidden)
    copy(layer.mean, into: statistics.vector(at: 2 * index * hidden, count: hidden))
    copy(layer.variance, into: variance)
    scale(variance, by: Float(product.rows) / Float(product.rows - 1))
  }
}

// MARK: - Backward

extension ProjectionHead {
  /// Carries the embeddings' gradient back to the head's parameters and to the features.
  ///
  /// - Parameters:
  ///   - embeddingGradient: `[R, bottleneckDim]`, of the rows of the last `forward` in this workspace; overwritten.
  ///   - parameters: those of that `forward`.
  ///   - workspace: as `forward` left it; can be used for one `backward` only.
  ///   - featureGradient: `[R, D]`, overwritten; may not be the features.
  ///   - gradient: laid out by `ParameterLayout`; added to. The backbone's part is not touched.
  public func backward(
    _ embeddingGradient: Matrix, parameters: FloatBuffer, workspace: HeadWorkspace, into featureGradient: Matrix,
    gradient: FloatBuffer
  ) {
    guard workspace.keepsActivations, let features = workspace.features, let embeddings = workspace.embeddings else {
      fatalError("backward in a workspace that keeps no activations")
    }
    let rows = 0..<embeddingGradient.rows
    invariant(rows.count == features.rows && featureGradient.rows == rows.count)
    invariant(gradient.count == layout.count)
    normalizeRowsBackward(
      embeddings, norms: workspace.norms.vector(at: 0, count: rows.count), floor: normFloor,
      gradient: embeddingGradient, into: embeddingGradient)
    workspace.show({ _ in "head" }, embeddingGradient, backward: true)
    var outputGradient = embeddingGradient
    for index in (0..<2).reversed() {
      let layer = workspace.layers[index]
      let (next, activationGradient) = (linear[index + 1], workspace.scratch[index].rows(rows))
      next.addGradient(of: outputGradient, input: layer.activation.rows(rows), to: gradient)
      multiply(outputGradient, .asIs, next.weight(parameters), .asIs, into: activationGradient)
      geluBackward(layer.preactivation.rows(rows), gradient: activationGradient)
      workspace.show({ $0.linear[index + 1] }, activationGradient, backward: true)
      if !norm.isEmpty {
        batchNormBackward(
          layer.product.rows(rows), mean: layer.mean, inverseDeviation: layer.inverseDeviation,
          weight: norm[index].weight(parameters), gradient: activationGradient, into: activationGradient,
          weightGradient: norm[index].weight(gradient), biasGradient: norm[index].bias(gradient))
        workspace.show({ $0.norm[index] }, activationGradient, backward: true)
      }
      outputGradient = activationGradient
    }
    linear[0].addGradient(of: outputGradient, input: features, to: gradient)
    multiply(outputGradient, .asIs, linear[0].weight(parameters), .asIs, into: featureGradient)
    workspace.show({ $0.linear[0] }, featureGradient, backward: true)
  }
}
