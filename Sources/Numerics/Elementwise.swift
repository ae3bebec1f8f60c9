/// Sums, copies and gathers: each reads its operands once.

// MARK: - Sums

/// c = a + b. `c` may be `a` or `b`.
///
/// - Parameters: `[rows, columns]`, all alike.
public func add(_ a: Matrix, _ b: Matrix, into c: Matrix) {
  invariant(a.rows == c.rows && a.columns == c.columns && b.rows == c.rows && b.columns == c.columns)
  for row in 0..<c.rows {
    let (a, b, c, count) = (a.base + row * a.stride, b.base + row * b.stride, c.base + row * c.stride, c.columns)
    var i = 0
    while i + laneCount <= count {
      c.store(a.lanes(at: i) + b.lanes(at: i), at: i)
      i += laneCount
    }
    if i < count {
      c.store(a.lanes(at: i, first: count - i) + b.lanes(at: i, first: count - i), at: i, first: count - i)
    }
  }
}

/// c += factor * a, each element by one fused product.
public func addScaled(_ a: Vector, by factor: Float, to c: Vector) {
  invariant(a.count == c.count)
  addScaled(a.base, by: factor, to: c.base, count: c.count)
}

/// c += factor * a, each element by one fused product; both `[rows, columns]`.
public func addScaled(_ a: Matrix, by factor: Float, to c: Matrix) {
  invariant(a.rows == c.rows && a.columns == c.columns)
  for row in 0..<c.rows {
    addScaled(a.base + row * a.stride, by: factor, to: c.base + row * c.stride, count: c.columns)
  }
}

@inline(__always)
private func addScaled(
  _ a: UnsafeMutablePointer<Float>, by factor: Float, to c: UnsafeMutablePointer<Float>, count: Int
) {
  let factors = Lanes(repeating: factor)
  var i = 0
  while i + laneCount <= count {
    c.store(c.lanes(at: i).addingProduct(factors, a.lanes(at: i)), at: i)
    i += laneCount
  }
  if i < count {
    let rest = count - i
    c.store(c.lanes(at: i, first: rest).addingProduct(factors, a.lanes(at: i, first: rest)), at: i, first: rest)
  }
}

/// Adds `bias`, one float a column, to every row of `c`.
public func addRow(_ bias: Vector, toRowsOf c: Matrix) {
  invariant(bias.count == c.columns)
  for row in 0..<c.rows {
    let (sums, bias, count) = (c.base + row * c.stride, bias.base, c.columns)
    var i = 0
    while i + laneCount <= count {
      sums.store(sums.lanes(at: i) + bias.lanes(at: i), at: i)
      i += laneCount
    }
    if i < count { sums.store(sums.lanes(at: i) + bias.lanes(at: i), at: i, first: count - i) }
  }
}

/// a *= factor.
public func scale(_ a: Vector, by factor: Float) { scale(a.base, by: factor, into: a.base, count: a.count) }

/// a *= factor.
public func scale(_ a: Matrix, by factor: Float) {
  for row in 0..<a.rows {
    let a = (row: a.base + row * a.stride, count: a.columns)
    scale(a.row, by: factor, into: a.row, count: a.count)
  }
}

@inline(__always)
private func scale<Place: LanePlace>(
  _ a: UnsafeMutablePointer<Float>, by factor: Float, into b: Place, count: Int
) {
  let factors = Lanes(repeating: factor)
  var i = 0
  while i + laneCount <= count {
    b.store(a.lanes(at: i) * factors, at: i)
    i += laneCount
  }
  if i < count { b.store(a.lanes(at: i, first: count - i) * factors, at: i, first: count - i) }
}

// MARK: - Copies

/// b = a; both `[rows, columns]`, overlapping nowhere or everywhere.
public func copy(_ a: Matrix, into b: Matrix) {
  invariant(a.rows == b.rows && a.columns == b.columns)
  if a.isContiguous && b.isContiguous {
    b.base.update(from: a.base, count: a.rows * a.columns)
  } else {
    for row in 0..<a.rows { (b.base + row * b.stride).update(from: a.base + row * a.stride, count: a.columns) }
  }
}

/// b = a, bit by bit, of one precision.
public func copy(_ a: Factor, into b: Factor) {
  invariant(a.rows == b.rows && a.columns == b.columns && a.precision == b.precision)
  let bytes = a.columns * a.precision.bytes
  var (from, to) = (UnsafeRawPointer(a.address), b.address)
  for _ in 0..<a.rows {
    to.copyMemory(from: from, byteCount: bytes)
    from += a.stride * a.precision.bytes
    to += b.stride * b.precision.bytes
  }
}

/// a = 0.
public func clear(_ a: Factor) {
  var row = a.address
  for _ in 0..<a.rows {
    row.initializeMemory(as: UInt8.self, repeating: 0, count: a.columns * a.precision.bytes)
    row += a.stride * a.precision.bytes
  }
}

/// y = factor * x, rounded where `y` is bf16. `y` may be `x`, or the factor in its memory; both `[rows, columns]`.
public func convert(_ x: Matrix, times factor: Float = 1, into y: Factor) {
  invariant(x.rows == y.rows && x.columns == y.columns)
  if factor == 1, y.precision == .fp32, y.address == x.base { return }
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    switch y.precision {
    case .fp32: scale(x, by: factor, into: y.floats(row), count: y.columns)
    case .bf16: scale(x, by: factor, into: y.halves(row), count: y.columns)
    }
  }
}

/// y = x, rounded where `y` is bf16; one after the other, as many of both.
public func convert(_ x: Vector, into y: Factor) {
  convert(x.matrix(rows: y.rows, columns: y.columns), into: y)
}

/// b = a.
public func copy(_ a: Vector, into b: Vector) {
  invariant(a.count == b.count)
  b.base.update(from: a.base, count: a.count)
}

public func fill(_ a: Vector, with value: Float) { a.base.update(repeating: value, count: a.count) }

public func fill(_ a: Matrix, with value: Float) {
  if a.isContiguous {
    a.base.update(repeating: value, count: a.rows * a.columns)
  } else {
    for row in 0..<a.rows { (a.base + row * a.stride).update(repeating: value, count: a.columns) }
  }
}

/// Row i of `b` becomes row `indices[i]` of `a`.
public func gatherRows(from a: Matrix, _ indices: [Int], into b: Matrix) {
  invariant(a.columns == b.columns && indices.count == b.rows)
  for (row, index) in indices.enumerated() {
    invariant(index >= 0 && index < a.rows, "row \(index) of \(a.rows)")
    (b.base + row * b.stride).update(from: a.base + index * a.stride, count: a.columns)
  }
}
