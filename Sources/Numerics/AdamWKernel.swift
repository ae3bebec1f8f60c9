/// The numbers of one AdamW update that are the same for all elements of a tensor.
public struct AdamWFactors: Sendable {
  /// What clipping leaves of the gradient, 0...1.
  public var gradientScale: Float
  /// 1 - learning rate * weight decay.
  public var shrink: Float
  /// 1 - beta1.
  public var firstGain: Float
  /// beta2.
  public var secondKeep: Float
  /// 1 - beta2.
  public var secondGain: Float
  /// 1 / sqrt(1 - beta2^step).
  public var deviationScale: Float
  public var epsilon: Float
  /// learning rate / (1 - beta1^step).
  public var stepSize: Float

  public init(
    gradientScale: Float, shrink: Float, firstGain: Float, secondKeep: Float, secondGain: Float,
    deviationScale: Float, epsilon: Float, stepSize: Float
  ) {
    self.gradientScale = gradientScale
    self.shrink = shrink
    self.firstGain = firstGain
    self.secondKeep = secondKeep
    self.secondGain = secondGain
    self.deviationScale = deviationScale
    self.epsilon = epsilon
    self.stepSize = stepSize
  }
}

/// One AdamW update, each element alone, in the order of PyTorch's `torch.optim.AdamW` for a single tensor.
///
/// With g the scaled gradient: m' = m + (1 - beta1)(g - m), v' = beta2 v + (1 - beta2) g^2,
/// w' = shrink w - stepSize m' / (sqrt(v') deviationScale + epsilon).
///
/// - Parameters:
///   - newWeights: w', `newFirst`: m', `newSecond`: v'; each may be the old one, and overlaps nothing else.
/// - Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (ICLR 2019).
public func adamW(
  weights: Vector, gradient: Vector, first: Vector, second: Vector, factors: AdamWFactors,
  into newWeights: Vector, _ newFirst: Vector, _ newSecond: Vector
) {
  let count = weights.count
  invariant(gradient.count == count && first.count == count && second.count == count)
  invariant(newWeights.count == count && newFirst.count == count && newSecond.count == count)
  let (w, g, m, v) = (weights.base, gradient.base, first.base, second.base)
  let (newW, newM, newV) = (newWeights.base, newFirst.base, newSecond.base)
  var i = 0
  while i + laneCount <= count {
    let step = adamW(w.lanes(at: i), g.lanes(at: i), m.lanes(at: i), v.lanes(at: i), factors)
    newW.store(step.w, at: i)
    newM.store(step.m, at: i)
    newV.store(step.v, at: i)
    i += laneCount
  }
  if i < count {
    let rest = count - i
    let step = adamW(
      w.lanes(at: i, first: rest), g.lanes(at: i, first: rest), m.lanes(at: i, first: rest),
      v.lanes(at: i, first: rest), factors)
    newW.store(step.w, at: i, first: rest)
    newM.store(step.m, at: i, first: rest)
    newV.store(step.v, at: i, first: rest)
  }
}

@inline(__always)
private func adamW(_ w: Lanes, _ gradient: Lanes, _ m: Lanes, _ v: Lanes, _ f: AdamWFactors) -> (
  w: Lanes, m: Lanes, v: Lanes
) {
  let g = gradient * Lanes(repeating: f.gradientScale)
  let newM = m.addingProduct(Lanes(repeating: f.firstGain), g - m)
  let newV = (v * Lanes(repeating: f.secondKeep)).addingProduct(Lanes(repeating: f.secondGain) * g, g)
  let deviation = Lanes(repeating: f.epsilon).addingProduct(newV.squareRoot(), Lanes(repeating: f.deviationScale))
  let newW = (w * Lanes(repeating: f.shrink)).addingProduct(Lanes(repeating: -f.stepSize), newM / deviation)
  return (newW, newM, newV)
}
