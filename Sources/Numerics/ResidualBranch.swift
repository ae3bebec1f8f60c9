/// The end of a residual branch, where its stream is kept for the backward pass and so must not be overwritten.

/// y = x + scale * (branch + bias).
///
/// - Parameters:
///   - x: `[rows, columns]`, the residual stream.
///   - branch: `[rows, columns]`, what the branch's last product gave.
///   - bias: `[columns]`, of that product.
///   - scale: 1, or 1 / (1 - rate) of stochastic depth.
///   - y: `[rows, columns]`, overwritten; may be `x`.
public func addBranch(_ x: Matrix, _ branch: Matrix, bias: Vector, scale: Float, into y: Matrix) {
  invariant(x.rows == y.rows && x.columns == y.columns && branch.rows == x.rows && branch.columns == x.columns)
  invariant(bias.count == x.columns)
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  let (bias, scales) = (bias.base, Lanes(repeating: scale))
  for row in 0..<x.rows {
    let (x, branch, y) = (x.base + row * x.stride, branch.base + row * branch.stride, y.base + row * y.stride)
    var i = 0
    while i < whole {
      y.store(x.lanes(at: i).addingProduct(scales, branch.lanes(at: i) + bias.lanes(at: i)), at: i)
      i += laneCount
    }
    if rest > 0 {
      y.store(x.lanes(at: i).addingProduct(scales, branch.lanes(at: i) + bias.lanes(at: i)), at: i, first: rest)
    }
  }
}
