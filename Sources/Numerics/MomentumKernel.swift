/// The numbers of one update with momentum that are the same for all elements of a tensor.
public struct MomentumFactors: Sendable {
  /// What clipping leaves of the gradient, 0...1.
  public var gradientScale: Float
  /// Weights added to the gradient: the weight decay, or 0.
  public var decay: Float
  /// The trust ratio of LARS; 1 for plain SGD.
  public var trust: Float
  /// What stays of the momentum, 0..<1.
  public var keep: Float
  public var learningRate: Float

  public init(gradientScale: Float, decay: Float, trust: Float, keep: Float, learningRate: Float) {
    self.gradientScale = gradientScale
    self.decay = decay
    self.trust = trust
    self.keep = keep
    self.learningRate = learningRate
  }
}

/// One update of SGD or LARS, each element alone.
///
/// With g the scaled gradient: u' = keep u + trust (g + decay w), w' = w - learningRate u'.
///
/// - Parameters:
///   - newWeights: w', `newMomentum`: u'; each may be the old one, and overlaps nothing else.
public func momentumStep(
  weights: Vector, gradient: Vector, momentum: Vector, factors: MomentumFactors,
  into newWeights: Vector, _ newMomentum: Vector
) {
  let count = weights.count
  invariant(gradient.count == count && momentum.count == count)
  invariant(newWeights.count == count && newMomentum.count == count)
  let (w, g, u) = (weights.base, gradient.base, momentum.base)
  let (newW, newU) = (newWeights.base, newMomentum.base)
  var i = 0
  while i + laneCount <= count {
    let step = momentumStep(w.lanes(at: i), g.lanes(at: i), u.lanes(at: i), factors)
    newW.store(step.w, at: i)
    newU.store(step.u, at: i)
    i += laneCount
  }
  if i < count {
    let rest = count - i
    let step = momentumStep(
      w.lanes(at: i, first: rest), g.lanes(at: i, first: rest), u.lanes(at: i, first: rest), factors)
    newW.store(step.w, at: i, first: rest)
    newU.store(step.u, at: i, first: rest)
  }
}

@inline(__always)
private func momentumStep(_ w: Lanes, _ gradient: Lanes, _ u: Lanes, _ f: MomentumFactors) -> (w: Lanes, u: Lanes) {
  let direction = decayed(gradient, w, f.gradientScale, f.decay)
  let newU = (direction * Lanes(repeating: f.trust)).addingProduct(Lanes(repeating: f.keep), u)
  return (w.addingProduct(Lanes(repeating: -f.learningRate), newU), newU)
}

/// The sum of the squares of scale * gradient + decay * weights, in Double: the norm that LARS divides by.
public func sumOfSquares(gradient: Vector, scale: Float, weights: Vector, decay: Float) -> Double {
  invariant(gradient.count == weights.count)
  let (g, w, count) = (gradient.base, weights.base, gradient.count)
  var total = 0.0
  var start = 0
  // Short runs in Float lanes lose little, and their sums are added in Double.
  while start < count {
    let end = min(count, start + 512)
    var sums = Lanes.zero
    var i = start
    while i + laneCount <= end {
      let direction = decayed(g.lanes(at: i), w.lanes(at: i), scale, decay)
      sums.addProduct(direction, direction)
      i += laneCount
    }
    if i < end {
      let direction = decayed(g.lanes(at: i, first: end - i), w.lanes(at: i, first: end - i), scale, decay)
      sums.addProduct(direction, direction)
    }
    total += Double(sum(sums))
    start = end
  }
  return total
}

@inline(__always)
private func decayed(_ gradient: Lanes, _ weights: Lanes, _ scale: Float, _ decay: Float) -> Lanes {
  (gradient * Lanes(repeating: scale)).addingProduct(Lanes(repeating: decay), weights)
}
