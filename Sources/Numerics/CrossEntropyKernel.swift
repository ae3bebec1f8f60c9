/// The passes of the block loss over its logits: teacher rows to targets, student rows to residuals.

/// Floats that are summed in lanes before their sum is added in Double.
private let tile = 1024

/// x = softmax(x), row by row, in place.
///
/// - Parameter x: `[rows, columns]` logits, already divided by their temperature; probabilities afterwards.
/// - Returns: the sum of the rows' entropies, nats.
public func softmaxRowsMeasuringEntropy(_ x: Matrix) -> Double {
  let count = x.columns
  var entropy = 0.0
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    let top = Lanes(repeating: largest(of: x, count: count))
    // 1. e = e^(x - largest); their sum; and the sum of e (x - largest).
    var (total, weighted) = (0.0, 0.0)
    var start = 0
    while start < count {
      let end = min(count, start + tile)
      var (sums, products) = (Lanes.zero, Lanes.zero)
      var i = start
      while i + laneCount <= end {
        let shifted = x.lanes(at: i) - top
        let e = exponential(ofNonPositive: shifted)
        x.store(e, at: i)
        sums += e
        products.addProduct(e, shifted)
        i += laneCount
      }
      if i < end {
        let shifted = x.lanes(at: i) - top
        let e = exponential(ofNonPositive: shifted)
        x.store(e, at: i, first: end - i)
        let inside = firstLanes(end - i)
        sums += Lanes.zero.replacing(with: e, where: inside)
        products += Lanes.zero.replacing(with: e * shifted, where: inside)
      }
      total += Double(sum(sums))
      weighted += Double(sum(products))
      start = end
    }
    // 2. q = e / sum; its entropy is log sum - sum of q (x - largest).
    entropy += logarithm(total) - weighted / total
    scale(x, by: Float(1 / total), count: count)
  }
  return entropy
}

/// x = c softmax(x) - t, row by row, in place, with t the sum of the given targets and c their number (1 or 2).
///
/// - Parameters:
///   - x: `[rows, columns]` student logits, already divided by their temperature; residuals afterwards, which are
///     the gradient of the returned sum with respect to those logits.
///   - first: `[rows, columns]`, each row sums to 1.
///   - second: the same, or nil.
/// - Returns: the sum over rows and targets of the cross entropy -sum of t log softmax(x), nats.
public func crossEntropyResiduals(_ x: Matrix, targets first: Matrix, and second: Matrix?) -> Double {
  invariant(first.rows == x.rows && first.columns == x.columns)
  guard let second else { return residuals(x, first, first, pairs: 1, isPair: false) }
  invariant(second.rows == x.rows && second.columns == x.columns)
  return residuals(x, first, second, pairs: 2, isPair: true)
}

@inline(__always)
private func residuals(_ x: Matrix, _ first: Matrix, _ second: Matrix, pairs: Double, isPair: Bool) -> Double {
  let count = x.columns
  var loss = 0.0
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    let (first, second) = (first.base + row * first.stride, second.base + row * second.stride)
    let top = Lanes(repeating: largest(of: x, count: count))
    // 1. e = e^(x - largest); their sum; and the sum of t (x - largest).
    var (total, weighted) = (0.0, 0.0)
    var start = 0
    while start < count {
      let end = min(count, start + tile)
      var (sums, products) = (Lanes.zero, Lanes.zero)
      var i = start
      while i + laneCount <= end {
        let shifted = x.lanes(at: i) - top
        let e = exponential(ofNonPositive: shifted)
        x.store(e, at: i)
        sums += e
        products.addProduct(isPair ? first.lanes(at: i) + second.lanes(at: i) : first.lanes(at: i), shifted)
        i += laneCount
      }
      if i < end {
        let shifted = x.lanes(at: i) - top
        let e = exponential(ofNonPositive: shifted)
        x.store(e, at: i, first: end - i)
        let inside = firstLanes(end - i)
        sums += Lanes.zero.replacing(with: e, where: inside)
        let target = isPair ? first.lanes(at: i) + second.lanes(at: i) : first.lanes(at: i)
        products += Lanes.zero.replacing(with: target * shifted, where: inside)
      }
      total += Double(sum(sums))
      weighted += Double(sum(products))
      start = end
    }
    // 2. -sum of t log p, where log p = x - largest - log sum, and t sums to c.
    loss += pairs * logarithm(total) - weighted
    // 3. c e / sum - t.
    let share = Lanes(repeating: Float(pairs / total))
    var i = 0
    while i + laneCount <= count {
      let target = isPair ? first.lanes(at: i) + second.lanes(at: i) : first.lanes(at: i)
      x.store((-target).addingProduct(x.lanes(at: i), share), at: i)
      i += laneCount
    }
    if i < count {
      let target = isPair ? first.lanes(at: i) + second.lanes(at: i) : first.lanes(at: i)
      x.store((-target).addingProduct(x.lanes(at: i), share), at: i, first: count - i)
    }
  }
  return loss
}

@inline(__always)
private func scale(_ x: UnsafeMutablePointer<Float>, by factor: Float, count: Int) {
  let factors = Lanes(repeating: factor)
  var i = 0
  while i + laneCount <= count {
    x.store(x.lanes(at: i) * factors, at: i)
    i += laneCount
  }
  if i < count { x.store(x.lanes(at: i) * factors, at: i, first: count - i) }
}
