/// Softmax of rows and its gradient. Stable: each row's largest logit is taken off first.

/// p = softmax(scale * x), row by row; `x` is overwritten.
///
/// - Parameters:
///   - x: `[rows, columns]` logits. A NaN spoils its own row alone.
///   - scale: > 0: 1 / temperature, or 1 / sqrt(width of a head).
///   - p: `[rows, columns]` probabilities; may be `x`.
public func softmaxRows(_ x: Matrix, scale: Float = 1, into p: Factor) {
  invariant(scale > 0 && x.rows == p.rows && x.columns == p.columns)
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    switch p.precision {
    case .fp32: softmax(x, scale, into: p.floats(row), p.columns)
    case .bf16: softmax(x, scale, into: p.halves(row), p.columns)
    }
  }
}

/// x = softmax(scale * x), row by row, in place.
public func softmaxRows(_ x: Matrix, scale: Float = 1) { softmaxRows(x, scale: scale, into: Factor(x)) }

@inline(__always)
private func softmax<Place: LanePlace>(
  _ x: UnsafeMutablePointer<Float>, _ scale: Float, into p: Place, _ count: Int
) {
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  let scales = Lanes(repeating: scale)
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
    p.store(x.lanes(at: i) * share, at: i)
    i += laneCount
  }
  if rest > 0 { p.store(last * share, at: whole, first: rest) }
}

/// dX = scale * p * (dP - the row's sum of dP * p): the gradient of the logits of `softmaxRows`.
///
/// - Parameters:
///   - p: `[rows, columns]`, what `softmaxRows` gave.
///   - dP: `[rows, columns]`, the gradient of `p`.
///   - scale: the one given to `softmaxRows`.
///   - dX: `[rows, columns]`; may be `dP`, or the factor in its memory.
public func softmaxBackward(_ p: Factor, gradient dP: Matrix, scale: Float = 1, into dX: Factor) {
  invariant(p.rows == dP.rows && p.columns == dP.columns && p.rows == dX.rows && p.columns == dX.columns)
  invariant(p.precision == dX.precision)
  for row in 0..<p.rows {
    let dP = dP.base + row * dP.stride
    switch p.precision {
    case .fp32: softmaxBackward(p.floats(row), dP, scale, into: dX.floats(row), p.columns)
    case .bf16: softmaxBackward(p.halves(row), dP, scale, into: dX.halves(row), p.columns)
    }
  }
}

@inline(__always)
private func softmaxBackward<Place: LanePlace>(
  _ p: Place, _ dP: UnsafeMutablePointer<Float>, _ scale: Float, into dX: Place, _ count: Int
) {
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  let scales = Lanes(repeating: scale)
  var sums = Lanes.zero
  var i = 0
  while i < whole {
    sums.addProduct(p.lanes(at: i), dP.lanes(at: i))
    i += laneCount
  }
  if rest > 0 {
    sums.addProduct(p.lanes(at: whole, first: rest, filler: 0), dP.lanes(at: whole, first: rest))
  }
  let mean = Lanes(repeating: sum(sums))
  i = 0
  while i < whole {
    dX.store(scales * p.lanes(at: i) * (dP.lanes(at: i) - mean), at: i)
    i += laneCount
  }
  if rest > 0 { dX.store(scales * p.lanes(at: whole) * (dP.lanes(at: whole) - mean), at: whole, first: rest) }
}
