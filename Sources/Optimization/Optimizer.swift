import Numerics

/// One update of the student's weights: clip each tensor's gradient, then step.
///
/// The weights are one flat buffer and a table of tensors. Work is cut in chunks that follow from the table alone, so
/// the bits do not depend on the number of cores. Old buffers are only read: a version of the weights that is being
/// sent or checkpointed stays whole while the next one is written.
public struct Optimizer: Sendable {
  public let rule: OptimizerRule
  public let tensors: [UpdateTensor]
  /// The largest norm that a tensor's gradient keeps; nil for no clipping.
  public let clipNorm: Double?
  /// Floats in the weights.
  public let count: Int
  private let chunks: [Chunk]

  /// A piece of one tensor.
  private struct Chunk: Sendable {
    let tensor: Int
    let range: Range<Int>
  }

  /// Floats in a chunk at most: its nine streams together fit a core's second-level cache.
  static let chunkSize = 1 << 14

  /// - Parameter tensors: ranges that overlap nowhere; together they are the whole buffer.
  public init(_ rule: OptimizerRule, tensors: [UpdateTensor], clipNorm: Double?) {
    self.rule = rule
    self.tensors = tensors
    self.clipNorm = clipNorm
    var end = 0
    for tensor in tensors.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      invariant(tensor.range.lowerBound == end && !tensor.range.isEmpty, "tensor at \(tensor.range), not at \(end)")
      end = tensor.range.upperBound
    }
    count = end
    chunks = tensors.enumerated().flatMap { index, tensor in
      stride(from: tensor.range.lowerBound, to: tensor.range.upperBound, by: Self.chunkSize).map {
        Chunk(tensor: index, range: $0..<min(tensor.range.upperBound, $0 + Self.chunkSize))
      }
    }
  }

  public func makeState() -> OptimizerState { OptimizerState(for: rule, count: count) }
}

/// What an update saw.
public struct UpdateReport: Sendable, Hashable {
  /// The norm of the whole gradient before clipping; not finite if any element is not, and then the new weights
  /// are worth nothing.
  public let gradientNorm: Double
  /// Of each tensor's gradient before clipping, its square: of several together the norm is the root of their sum.
  public let squares: [Double]
  /// Tensors whose gradient was shortened.
  public let clippedTensors: Int
}

// MARK: - Update

extension Optimizer {
  /// Writes the next weights and the next state.
  ///
  /// - Parameters:
  ///   - weights: the student's, `[count]`; only read.
  ///   - gradient: averaged over the global batch, `[count]`; only read.
  ///   - state: only read.
  ///   - learningRate: of this step.
  ///   - weightDecay: of this step; for tensors that decay.
  ///   - newWeights: `[count]`; may be `weights`.
  ///   - newState: all of it is overwritten; its buffers may be those of `state`.
  /// - Complexity: reads the gradient twice (LARS: three times), all else once; runs on all cores.
  @discardableResult
  public func update(
    _ weights: FloatBuffer, gradient: FloatBuffer, state: OptimizerState, learningRate: Double, weightDecay: Double,
    into newWeights: FloatBuffer, _ newState: inout OptimizerState
  ) -> UpdateReport {
    invariant(weights.count == count && gradient.count == count && newWeights.count == count)
    for moments in [state.moments, newState.moments] {
      invariant(moments.count == rule.momentNames.count && moments.allSatisfy { $0.count == count })
    }
    // 1. Norms, and what clipping leaves.
    let squares = sumByTensor { sumOfSquares(gradient.vector($0.range)) }
    let gradientScales = squares.map { clipScale(squares: $0) }
    let report = UpdateReport(
      gradientNorm: squares.reduce(0, +).squareRoot(), squares: squares,
      clippedTensors: gradientScales.count { $0 < 1 })
    // 2. The rule.
    let steps = state.steps + 1
    switch rule {
    case .adamW(let beta1, let beta2, let epsilon):
      let firstCorrection = 1 - integerPower(beta1, steps)
      let secondCorrection = (1 - integerPower(beta2, steps)).squareRoot()
      let (old, new) = (state.moments, newState.moments)
      forEach { chunk in
        let factors = AdamWFactors(
          gradientScale: gradientScales[chunk.tensor],
          shrink: Float(tensors[chunk.tensor].decays ? 1 - learningRate * weightDecay : 1),
          firstGain: Float(1 - beta1), secondKeep: Float(beta2), secondGain: Float(1 - beta2),
          deviationScale: Float(1 / secondCorrection), epsilon: Float(epsilon),
          stepSize: Float(learningRate / firstCorrection))
        let range = chunk.range
        adamW(
          weights: weights.vector(range), gradient: gradient.vector(range), first: old[0].vector(range),
          second: old[1].vector(range), factors: factors,
          into: newWeights.vector(range), new[0].vector(range), new[1].vector(range))
      }
    case .sgd(let momentum):
      step(
        weights, gradient, gradientScales, trusts: nil, momentum, learningRate, weightDecay, state.moments[0],
        into: newWeights, newState.moments[0])
    case .lars(let momentum, let trust):
      let trusts = trustRatios(weights, gradient, gradientScales, trust: trust, weightDecay: weightDecay)
      step(
        weights, gradient, gradientScales, trusts: trusts, momentum, learningRate, weightDecay, state.moments[0],
        into: newWeights, newState.moments[0])
    }
    newState.steps = steps
    return report
  }

  /// SGD's step, and LARS's.
  private func step(
    _ weights: FloatBuffer, _ gradient: FloatBuffer, _ gradientScales: [Float], trusts: [Float]?, _ momentum: Double,
    _ learningRate: Double, _ weightDecay: Double, _ old: FloatBuffer, into newWeights: FloatBuffer, _ new: FloatBuffer
  ) {
    forEach { chunk in
      let factors = MomentumFactors(
        gradientScale: gradientScales[chunk.tensor], decay: Float(tensors[chunk.tensor].decays ? weightDecay : 0),
        trust: trusts?[chunk.tensor] ?? 1, keep: Float(momentum), learningRate: Float(learningRate))
      let range = chunk.range
      momentumStep(
        weights: weights.vector(range), gradient: gradient.vector(range), momentum: old.vector(range),
        factors: factors, into: newWeights.vector(range), new.vector(range))
    }
  }

  /// min(1, clipNorm / (norm + 1e-6)); NaN stays visible in the weights.
  private func clipScale(squares: Double) -> Float {
    guard let clipNorm else { return 1 }
    let scale = clipNorm / (squares.squareRoot() + 1e-6)
    return scale < 1 ? Float(scale) : 1
  }

  /// trust * |w| / |g + decay * w| for tensors that decay, 1 where either norm is 0 and for all others.
  private func trustRatios(
    _ weights: FloatBuffer, _ gradient: FloatBuffer, _ gradientScales: [Float], trust: Double, weightDecay: Double
  ) -> [Float] {
    let weightSquares = sumByTensor { tensors[$0.tensor].decays ? sumOfSquares(weights.vector($0.range)) : 0 }
    let directionSquares = sumByTensor { chunk in
      guard tensors[chunk.tensor].decays else { return 0 }
      return sumOfSquares(
        gradient: gradient.vector(chunk.range), scale: gradientScales[chunk.tensor],
        weights: weights.vector(chunk.range), decay: Float(weightDecay))
    }
    return zip(weightSquares, directionSquares).map { weight, direction in
      weight > 0 && direction > 0 ? Float(trust * weight.squareRoot() / direction.squareRoot()) : 1
    }
  }
}

// MARK: - Chunks

extension Optimizer {
  /// Chunks given to a core at once, so that handing out costs nothing.
  private static let chunksTogether = 4

  private func forEach(_ body: @Sendable (Chunk) -> Void) {
    let together = Self.chunksTogether
    forEachChunk((chunks.count + together - 1) / together) { portion in
      for index in portion * together..<min(chunks.count, (portion + 1) * together) { body(chunks[index]) }
    }
  }

  /// One sum a tensor, over its chunks in order.
  private func sumByTensor(_ body: @Sendable (Chunk) -> Double) -> [Double] {
    var sums = [Double](repeating: 0, count: tensors.count)
    for (chunk, sum) in zip(chunks, mapChunks(chunks.count) { body(chunks[$0]) }) { sums[chunk.tensor] += sum }
    return sums
  }
}

extension FloatBuffer {
  fileprivate func vector(_ range: Range<Int>) -> Vector { vector(at: range.lowerBound, count: range.count) }
}

/// x to the n >= 0 by squaring: no libm.
private func integerPower(_ x: Double, _ n: Int) -> Double {
  var (result, square, rest) = (1.0, x, n)
  while rest > 0 {
    if rest & 1 == 1 { result *= square }
    square *= square
    rest >>= 1
  }
  return result
}
