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
  /// Of what products read.
  public let precision: Precision

  let layers: [Layer]
  let scratch: [Matrix]
  /// |x| of each row before it was normalised.
  let norms: Vector
  /// `[R, embedDim]`: the features, rounded; nil in fp32.
  private let roundedFeatures: Factor?
  /// What the last `forward` was given, for products, and what it gave; held for `backward`.
  var features: Factor?
  var embeddings: Matrix?

  /// Who looks at every layer's values; nil, as a rule, for nobody.
  public var observer: LayerObserver?

  struct Layer {
    /// `[R, H]`: before BatchNorm, without it before the GELU; with bias.
    let product: Matrix
    /// `[R, H]`: before the GELU. Without BatchNorm it is `product`.
    let preactivation: Matrix
    let activation: Factor
    let mean: Vector
    let inverseDeviation: Vector
    let variance: Vector
  }

  /// Floats that a workspace of these sizes takes.
  public static func floatCount(
    _ architecture: NetworkArchitecture, maximumRows: Int, keepsActivations: Bool, precision: Precision = .fp32
  ) -> Int {
    let matrix = maximumRows * architecture.headHiddenDim
    let layer =
      (architecture.useBNInHead ? 2 : 1) * matrix + precision.floats(for: matrix) + 3 * architecture.headHiddenDim
    let features = precision == .fp32 ? 0 : precision.floats(for: maximumRows * architecture.embedDim)
    return (keepsActivations ? 2 * layer + 2 * matrix : layer) + maximumRows + features
  }

  /// - Parameters:
  ///   - keepsActivations: whether `backward` may be called; if not, both layers share their memory.
  ///   - precision: of the weights that will pass it.
  public init(
    _ architecture: NetworkArchitecture, maximumRows: Int, keepsActivations: Bool, precision: Precision = .fp32
  ) {
    invariant(maximumRows > 0)
    self.architecture = architecture
    self.maximumRows = maximumRows
    self.keepsActivations = keepsActivations
    self.precision = precision
    let hidden = architecture.headHiddenDim
    func matrix() -> Matrix { FloatBuffer(count: maximumRows * hidden).matrix(rows: maximumRows, columns: hidden) }
    func factor(columns: Int) -> Factor {
      FloatBuffer(count: precision.floats(for: maximumRows * columns))
        .factor(rows: maximumRows, columns: columns, precision: precision)
    }
    func layer() -> Layer {
      let product = matrix()
      return Layer(
        product: product, preactivation: architecture.useBNInHead ? matrix() : product,
        activation: factor(columns: hidden),
        mean: FloatBuffer(count: hidden).vector, inverseDeviation: FloatBuffer(count: hidden).vector,
        variance: FloatBuffer(count: hidden).vector)
    }
    let first = layer()
    layers = [first, keepsActivations ? layer() : first]
    scratch = keepsActivations ? [matrix(), matrix()] : []
    norms = FloatBuffer(count: maximumRows).vector
    roundedFeatures = precision == .fp32 ? nil : factor(columns: architecture.embedDim)
  }

  /// The features as products read them.
  fileprivate func rounded(_ features: Matrix) -> Factor {
    guard let rounded = roundedFeatures?.rows(0..<features.rows) else { return Factor(features) }
    convert(features, into: rounded)
    return rounded
  }
}

// MARK: - Forward

extension ProjectionHead {
  /// Turns features into embeddings.
  ///
  /// - Parameters:
  ///   - features: `[R, D]`; not written before `backward`. With BatchNorm at least 2 rows, all that share statistics.
  ///   - weights: laid out by `ParameterLayout`, in the workspace's precision.
  ///   - workspace: for at least R rows.
  ///   - embeddings: `[R, bottleneckDim]`, overwritten; rows of unit length. Not written before `backward`.
  ///   - statistics: laid out by `StatisticsLayout`, overwritten with this batch's means and variances (unbiased:
  ///     dividing by R - 1, as running variances want them); nil without BatchNorm or where nobody wants them.
  public func forward(
    _ features: Matrix, weights: NetworkWeights, workspace: HeadWorkspace, into embeddings: Matrix,
    statistics: FloatBuffer? = nil
  ) {
    let rows = 0..<features.rows
    invariant(workspace.architecture == architecture, "a workspace of another architecture")
    invariant(rows.count <= workspace.maximumRows && embeddings.rows == rows.count)
    invariant(weights.floats.count == layout.count && weights.precision == workspace.precision)
    invariant(norm.isEmpty || rows.count > 1, "BatchNorm of one row")
    invariant(statistics == nil || statistics?.count == statisticsLayout.count)
    let parameters = weights.floats
    var input = workspace.rounded(features)
    workspace.features = input
    workspace.embeddings = embeddings
    for (index, layer) in workspace.layers.enumerated() {
      let (product, preactivation) = (layer.product.rows(rows), layer.preactivation.rows(rows))
      let bias = linear[index].bias(parameters)
      // Where both layers share memory, the first one's activation is still read when the second's product is made,
      // and no longer when its own activation is.
      linear[index].product(input, weights, into: product)
      let activation = layer.activation.rows(rows)
      if norm.isEmpty {
        geluAddingBias(product, bias: bias, into: activation)
      } else {
        addRow(bias, toRowsOf: product)
        workspace.show({ $0.linear[index] }, Factor(product))
        normalizeBatch(index, product, parameters, layer, statistics, into: preactivation)
        gelu(Factor(preactivation), into: activation)
      }
      workspace.show({ norm.isEmpty ? $0.linear[index] : $0.norm[index] }, activation)
      input = activation
    }
    linear[2].product(input, weights, into: embeddings)
    addRow(linear[2].bias(parameters), toRowsOf: embeddings)
    workspace.show({ $0.linear[2] }, Factor(embeddings))
    normalizeRows(
      embeddings, floor: normFloor, into: embeddings, keeping: workspace.norms.vector(at: 0, count: rows.count))
    workspace.show({ _ in "head" }, Factor(embeddings))
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
  ///   - weights: those of that `forward`.
  ///   - workspace: as `forward` left it; can be used for one `backward` only.
  ///   - featureGradient: `[R, D]`, overwritten; may not be the features.
  ///   - gradient: laid out by `ParameterLayout`; added to. The backbone's part is not touched.
  public func backward(
    _ embeddingGradient: Matrix, weights: NetworkWeights, workspace: HeadWorkspace, into featureGradient: Matrix,
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
    workspace.show({ _ in "head" }, Factor(embeddingGradient), backward: true)
    let precision = workspace.precision
    var outputGradient = embeddingGradient.rounded(to: precision)
    for index in (0..<2).reversed() {
      let layer = workspace.layers[index]
      let (next, activationGradient) = (linear[index + 1], workspace.scratch[index].rows(rows))
      next.addGradient(of: outputGradient, input: layer.activation.rows(rows), to: gradient)
      let productGradient = activationGradient.factor(in: precision)
      next.productBackward(outputGradient, weights, into: Factor(activationGradient))
      let preactivationGradient = norm.isEmpty ? productGradient : Factor(activationGradient)
      geluBackward(
        Factor(layer.preactivation.rows(rows)), gradient: Factor(activationGradient), into: preactivationGradient)
      workspace.show({ $0.linear[index + 1] }, preactivationGradient, backward: true)
      if !norm.isEmpty {
        batchNormBackward(
          layer.product.rows(rows), mean: layer.mean, inverseDeviation: layer.inverseDeviation,
          weight: norm[index].weight(weights.floats), gradient: activationGradient, into: activationGradient,
          weightGradient: norm[index].weight(gradient), biasGradient: norm[index].bias(gradient))
        workspace.show({ $0.norm[index] }, Factor(activationGradient), backward: true)
        convert(activationGradient, into: productGradient)
      }
      outputGradient = productGradient
    }
    linear[0].addGradient(of: outputGradient, input: features, to: gradient)
    linear[0].productBackward(outputGradient, weights, into: Factor(featureGradient))
    workspace.show({ $0.linear[0] }, Factor(featureGradient), backward: true)
  }
}
