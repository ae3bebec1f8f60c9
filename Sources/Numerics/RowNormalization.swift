/// Rows to unit length, and back.

/// y = x / max(|x|, floor), row by row.
///
/// - Parameters:
///   - x: `[rows, columns]`.
///   - floor: > 0, so that a row of zeros stays one.
///   - y: `[rows, columns]`; may be `x`.
///   - norms: `[rows]`, gets |x|, for `normalizeRowsBackward`.
public func normalizeRows(_ x: Matrix, floor: Float, into y: Matrix, keeping norms: Vector? = nil) {
  invariant(x.rows == y.rows && x.columns == y.columns && norms?.count ?? x.rows == x.rows && floor > 0)
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  for row in 0..<x.rows {
    let (x, y) = (x.base + row * x.stride, y.base + row * y.stride)
    let norm = dotOfRows(x, x, count: count).squareRoot()
    norms?.base[row] = norm
    let factor = Lanes(repeating: 1 / (norm < floor ? floor : norm))
    var i = 0
    while i < whole {
      y.store(x.lanes(at: i) * factor, at: i)
      i += laneCount
    }
    if rest > 0 { y.store(x.lanes(at: i) * factor, at: i, first: rest) }
  }
}

/// The gradient of `normalizeRows`: dX = (dY - y (y . dY)) / |x|, and dY / floor where |x| is below the floor.
///
/// - Parameters:
///   - y: `[rows, columns]`, what `normalizeRows` gave.
///   - norms: `[rows]`, kept by it.
///   - floor: the one given to it.
///   - gradient: dY, `[rows, columns]`.
///   - dX: `[rows, columns]`, overwritten; may be `gradient`.
public func normalizeRowsBackward(_ y: Matrix, norms: Vector, floor: Float, gradient: Matrix, into dX: Matrix) {
  invariant(y.rows == dX.rows && y.columns == dX.columns && y.rows == gradient.rows && y.columns == gradient.columns)
  invariant(norms.count == y.rows && floor > 0)
  let count = y.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  for row in 0..<y.rows {
    let (y, dX, dY) = (y.base + row * y.stride, dX.base + row * dX.stride, gradient.base + row * gradient.stride)
    let norm = norms.base[row]
    let along = Lanes(repeating: norm < floor ? 0 : -dotOfRows(y, dY, count: count))
    let factor = Lanes(repeating: 1 / (norm < floor ? floor : norm))
    var i = 0
    while i < whole {
      dX.store(dY.lanes(at: i).addingProduct(y.lanes(at: i), along) * factor, at: i)
      i += laneCount
    }
    if rest > 0 { dX.store(dY.lanes(at: i).addingProduct(y.lanes(at: i), along) * factor, at: i, first: rest) }
  }
}

@inline(__always)
private func dotOfRows(_ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>, count: Int) -> Float {
  var sums = Lanes.zero
  var i = 0
  while i + laneCount <= count {
    sums.addProduct(a.lanes(at: i), b.lanes(at: i))
    i += laneCount
  }
  if i < count { sums.addProduct(a.lanes(at: i, first: count - i), b.lanes(at: i, first: count - i)) }
  return sum(sums)
}
