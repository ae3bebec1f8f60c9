/// Many floats to one: column sums, squares, dot products. The order of additions follows from the shape alone.

/// Floats in a chunk of `sumOfSquares` and `dot`. Whole chunks may be summed apart, on any thread: adding the
/// results in order gives the bits of the sum over everything.
public let reductionChunk = 1 << 16

/// v += the sum of a's rows, in row order, each column alone.
///
/// - Parameters:
///   - a: `[rows, columns]`.
///   - v: `[columns]`, added to.
public func sumRows(of a: Factor, addingTo v: Vector) {
  invariant(a.columns == v.count)
  switch a.precision {
  case .fp32: sumRows(a.rows, a.columns, { a.floats($0) }, addingTo: v.base)
  case .bf16: sumRows(a.rows, a.columns, { a.halves($0) }, addingTo: v.base)
  }
}

@inline(__always)
private func sumRows<Place: LanePlace>(
  _ rows: Int, _ count: Int, _ place: (Int) -> Place, addingTo v: UnsafeMutablePointer<Float>
) {
  var row = 0
  // Four rows a pass: v is read and written a quarter as often, and the order stays that of the rows.
  while row < rows {
    let together = min(4, rows - row)
    var i = 0
    if together == 4 {
      let (first, second, third, fourth) = (place(row), place(row + 1), place(row + 2), place(row + 3))
      while i + laneCount <= count {
        var sums = v.lanes(at: i) + first.lanes(at: i)
        sums += second.lanes(at: i)
        sums += third.lanes(at: i)
        sums += fourth.lanes(at: i)
        v.store(sums, at: i)
        i += laneCount
      }
    } else {
      while i + laneCount <= count {
        var sums = v.lanes(at: i)
        for other in row..<row + together { sums += place(other).lanes(at: i) }
        v.store(sums, at: i)
        i += laneCount
      }
    }
    if i < count {
      var sums = v.lanes(at: i, first: count - i)
      for other in row..<row + together { sums += place(other).lanes(at: i) }
      v.store(sums, at: i, first: count - i)
    }
    row += together
  }
}

/// Where the largest element of a row is; the first of them in its lane, the lowest lane's first. 0 if none is a number.
///
/// - Parameter row: 0..<x.rows.
/// - Complexity: one pass over the row.
public func columnOfLargest(_ x: Matrix, row: Int) -> Int {
  invariant(row >= 0 && row < x.rows)
  let (x, count) = (x.base + row * x.stride, x.columns)
  let lane = SIMD8<Int32>(0, 1, 2, 3, 4, 5, 6, 7)
  var (top, place) = (Lanes(repeating: -.infinity), SIMD8<Int32>.zero)
  var i = 0
  while i < count {
    let rest = count - i
    let lanes = rest < laneCount ? x.lanes(at: i, first: rest, filler: -.infinity) : x.lanes(at: i)
    let isLarger = lanes .> top
    top = top.replacing(with: lanes, where: isLarger)
    place = place.replacing(with: lane &+ Int32(truncatingIfNeeded: i), where: isLarger)
    i += laneCount
  }
  var best = 0
  for lane in 1..<laneCount where top[lane] > top[best] { best = lane }
  return Int(place[best])
}

/// The sum of v's squares, accumulated in Double.
public func sumOfSquares(_ v: Vector) -> Double { dot(v, v) }

/// The sum of products, accumulated in Double, chunk by chunk.
public func dot(_ a: Vector, _ b: Vector) -> Double {
  invariant(a.count == b.count)
  var total = 0.0
  var start = 0
  while start < a.count {
    let count = min(reductionChunk, a.count - start)
    total += dotOfChunk(a.base + start, b.base + start, count: count)
    start += count
  }
  return total
}

private func dotOfChunk(_ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>, count: Int) -> Double {
  var (first, second) = (SIMD4<Double>.zero, SIMD4<Double>.zero)
  var (third, fourth) = (SIMD4<Double>.zero, SIMD4<Double>.zero)
  var i = 0
  while i + 2 * laneCount <= count {
    let (a0, b0, a1, b1) = (a.lanes(at: i), b.lanes(at: i), a.lanes(at: i + laneCount), b.lanes(at: i + laneCount))
    first.addProduct(doubles(a0.lowHalf), doubles(b0.lowHalf))
    second.addProduct(doubles(a0.highHalf), doubles(b0.highHalf))
    third.addProduct(doubles(a1.lowHalf), doubles(b1.lowHalf))
    fourth.addProduct(doubles(a1.highHalf), doubles(b1.highHalf))
    i += 2 * laneCount
  }
  while i < count {
    let rest = min(laneCount, count - i)
    let (a, b) = (a.lanes(at: i, first: rest), b.lanes(at: i, first: rest))
    first.addProduct(doubles(a.lowHalf), doubles(b.lowHalf))
    second.addProduct(doubles(a.highHalf), doubles(b.highHalf))
    i += rest
  }
  let four = (first + second) + (third + fourth)
  return (four.x + four.z) + (four.y + four.w)
}

/// Whether no element is infinite or NaN.
public func isFinite(_ v: Vector) -> Bool { isFinite(v.base, v.count) }

/// Whether no value of a row is infinite or NaN.
public func isFinite(_ a: Factor, row: Int) -> Bool {
  invariant(row >= 0 && row < a.rows)
  return switch a.precision {
  case .fp32: isFinite(a.floats(row), a.columns)
  case .bf16: isFinite(a.halves(row), a.columns)
  }
}

@inline(__always)
private func isFinite<Place: LanePlace>(_ base: Place, _ count: Int) -> Bool {
  let exponent = SIMD8<UInt32>(repeating: 0x7f80_0000)
  var i = 0
  // Blocks small enough to stop early, large enough for the test to cost nothing.
  while i < count {
    let end = min(count, i + 1024)
    var broken = SIMD8<UInt32>.zero
    while i < end {
      let lanes = end - i >= laneCount ? base.lanes(at: i) : base.lanes(at: i, first: end - i, filler: 0)
      let bits = unsafeBitCast(lanes, to: SIMD8<UInt32>.self) & exponent
      broken |= SIMD8<UInt32>.zero.replacing(with: 1, where: bits .== exponent)
      i += laneCount
    }
    if broken != .zero { return false }
  }
  return true
}

@inline(__always)
private func doubles(_ four: SIMD4<Float>) -> SIMD4<Double> {
  SIMD4<Double>(Double(four.x), Double(four.y), Double(four.z), Double(four.w))
}
