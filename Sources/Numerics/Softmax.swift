/// Softmax of rows and its gradient. Stable: each row's largest logit is taken off first.

/// x = softmax(scale * x), row by row, in place.
///
/// - Parameters:
///   - x: `[rows, columns]` logits; probabilities afterwards. A NaN spoils its own row alone.
///   - scale: > 0: 1 / temperature, or 1 / sqrt(width of a head).
public func softmaxRows(_ x: Matrix, scale: Float = 1) {
  invariant(scale > 0)
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  let scales = Lanes(repeating: scale)
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    // 1. The largest.
    let top = Lanes(repeating: largest(of: x, count: count))
    // 2. e^(scale (x - largest)), and their sum.
    var sums = Lanes.zero
    var i = 0
    while i < whole {
      let e = exponential(ofNonPositive: (x.lanes(at: i) - top) * scales)
      x.store(e, at: i)
      sums += e
      i += laneCount
    }
    var last = Lanes.zero
    if rest > 0 {
      last = exponential(ofNonPositive: (x.lanes(at: whole) - top) * scales)
      last = Lanes.zero.replacing(with: last, where: firstLanes(rest))
      sums += last
    }
    // 3. Divided by it.
    let share = Lanes(repeating: 1 / sum(sums))
    i = 0
    while i < whole {
      x.store(x.lanes(at: i) * share, at: i)
      i += laneCount
    }
    if rest > 0 { x.store(last * share, at: whole, first: rest) }
  }
}

/// dP = scale * p * (dP - the row's sum of dP * p), in place: the gradient of the logits of `softmaxRows`.
///
/// - Parameters:
///   - p: `[rows, columns]`, what `softmaxRows` gave.
///   - dP: `[rows, columns]`, the gradient of `p`; that of the logits afterwards.
///   - scale: the one given to `softmaxRows`.
public func softmaxBackward(_ p: Matrix, gradient dP: Matrix, scale: Float = 1) {
  invariant(p.rows == dP.rows && p.columns == dP.columns)
  let count = p.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  let scales = Lanes(repeating: scale)
  for row in 0..<p.rows {
    let (p, dP) = (p.base + row * p.stride, dP.base + row * dP.stride)
    var sums = Lanes.zero
    var i = 0
    while i < whole {
      sums.addProduct(p.lanes(at: i), dP.lanes(at: i))
      i += laneCount
    }
    if rest > 0 { sums.addProduct(p.lanes(at: whole, first: rest), dP.lanes(at: whole, first: rest)) }
    let mean = Lanes(repeating: sum(sums))
    i = 0
    while i < whole {
      dP.store(scales * p.lanes(at: i) * (dP.lanes(at: i) - mean), at: i)
      i += laneCount
    }
    if rest > 0 { dP.store(scales * p.lanes(at: whole) * (dP.lanes(at: whole) - mean), at: whole, first: rest) }
  }
}
