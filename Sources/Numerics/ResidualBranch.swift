/// The end of a residual branch, where its stream is kept for the backward pass and so must not be overwritten.

/// y = x + scale * gamma * (branch + bias), column by column.
///
/// - Parameters:
///   - x: `[rows, columns]`, the residual stream.
///   - branch: `[rows, columns]`, what the branch's last product gave.
///   - bias: `[columns]`, of that product.
///   - gamma: `[columns]`, LayerScale's factors; nil for 1, with the bits of an addition without them.
///   - scale: 1, or 1 / (1 - rate) of stochastic depth.
///   - y: `[rows, columns]`, overwritten; may be `x`.
public func addBranch(_ x: Matrix, _ branch: Matrix, bias: Vector, gamma: Vector? = nil, scale: Float, into y: Matrix) {
  invariant(x.rows == y.rows && x.columns == y.columns && branch.rows == x.rows && branch.columns == x.columns)
  invariant(bias.count == x.columns && (gamma == nil || gamma?.count == x.columns))
  let scales = Lanes(repeating: scale)
  if let gamma = gamma?.base {
    addBranch(x, branch, bias.base, into: y, factors: { scales * gamma.lanes(at: $0) })
  } else {
    addBranch(x, branch, bias.base, into: y, factors: { _ in scales })
  }
}

/// - Parameter factors: of eight columns, from the given one on.
@inline(__always)
private func addBranch(
  _ x: Matrix, _ branch: Matrix, _ bias: UnsafeMutablePointer<Float>, into y: Matrix, factors: (Int) -> Lanes
) {
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  for row in 0..<x.rows {
    let (x, branch, y) = (x.base + row * x.stride, branch.base + row * branch.stride, y.base + row * y.stride)
    var i = 0
    while i < whole {
      y.store(x.lanes(at: i).addingProduct(factors(i), branch.lanes(at: i) + bias.lanes(at: i)), at: i)
      i += laneCount
    }
    if rest > 0 {
      y.store(x.lanes(at: i).addingProduct(factors(i), branch.lanes(at: i) + bias.lanes(at: i)), at: i, first: rest)
    }
  }
}

/// `addBranch` with LayerScale, in reverse: the branch's gradient, and gamma's.
///
/// - Parameters:
///   - yGradient: `[rows, columns]`.
///   - branch: as forward had it, `[rows, columns]`; so are bias, gamma and scale.
///   - branchGradient: scale * gamma * yGradient, `[rows, columns]`, overwritten; shares no memory with the others.
///   - gammaGradient: `[columns]`, added to in the order of rows: scale * yGradient * (branch + bias).
public func addBranchBackward(
  _ yGradient: Matrix, branch: Matrix, bias: Vector, gamma: Vector, scale: Float, into branchGradient: Factor,
  gammaGradient: Vector
) {
  invariant(branch.rows == yGradient.rows && branch.columns == yGradient.columns)
  invariant(branchGradient.rows == yGradient.rows && branchGradient.columns == yGradient.columns)
  invariant(bias.count == branch.columns && gamma.count == branch.columns && gammaGradient.count == branch.columns)
  for row in 0..<branch.rows {
    let rows = (yGradient.base + row * yGradient.stride, branch.base + row * branch.stride)
    let vectors = (bias.base, gamma.base, gammaGradient.base)
    switch branchGradient.precision {
    case .fp32: addBranchBackward(rows, vectors, scale, branch.columns, into: branchGradient.floats(row))
    case .bf16: addBranchBackward(rows, vectors, scale, branch.columns, into: branchGradient.halves(row))
    }
  }
}

@inline(__always)
private func addBranchBackward<Place: LanePlace>(
  _ rows: (yGradient: UnsafeMutablePointer<Float>, branch: UnsafeMutablePointer<Float>),
  _ vectors: (
    bias: UnsafeMutablePointer<Float>, gamma: UnsafeMutablePointer<Float>, gammaGradient: UnsafeMutablePointer<Float>
  ),
  _ scale: Float, _ count: Int, into branchGradient: Place
) {
  let scales = Lanes(repeating: scale)
  var i = 0
  while i < count {
    let scaled = scales * rows.yGradient.lanes(at: i)
    let sums = vectors.gammaGradient.lanes(at: i).addingProduct(
      scaled, rows.branch.lanes(at: i) + vectors.bias.lanes(at: i))
    let gradient = scaled * vectors.gamma.lanes(at: i)
    if i + laneCount <= count {
      vectors.gammaGradient.store(sums, at: i)
      branchGradient.store(gradient, at: i)
    } else {
      vectors.gammaGradient.store(sums, at: i, first: count - i)
      branchGradient.store(gradient, at: i, first: count - i)
    }
    i += laneCount
  }
}
