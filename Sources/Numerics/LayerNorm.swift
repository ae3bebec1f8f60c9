/// Layer norm of rows: each row less its mean, over its deviation, times weight, plus bias.
///
/// Gradients of weight and bias are added to; those of the rows overwrite or are added, as the caller says.

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, row by row.
///
/// - Parameters:
///   - x: `[rows, columns]`.
///   - weight: `[columns]`.
///   - bias: `[columns]`.
///   - epsilon: added to the variance (which divides by `columns`).
///   - y: `[rows, columns]`; may be `x`.
///   - moments: `[rows, 2]`, gets each row's mean and 1 / deviation, for `layerNormBackward`.
public func layerNorm(
  _ x: Matrix, weight: Vector, bias: Vector, epsilon: Float, into y: Factor, keeping moments: Matrix? = nil
) {
  invariant(x.rows == y.rows && x.columns == y.columns)
  invariant(weight.count == x.columns && bias.count == x.columns)
  invariant(moments.map { $0.rows == x.rows && $0.columns == 2 } ?? true)
  let (weight, bias) = (weight.base, bias.base)
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    let (mean, inverse) =
      switch y.precision {
      case .fp32: normalizeRow(x, weight, bias, epsilon, into: y.floats(row), y.columns)
      case .bf16: normalizeRow(x, weight, bias, epsilon, into: y.halves(row), y.columns)
      }
    if let moments { (moments.base[row * moments.stride], moments.base[row * moments.stride + 1]) = (mean, inverse) }
  }
}

@inline(__always)
private func normalizeRow<Place: LanePlace>(
  _ x: UnsafeMutablePointer<Float>, _ weight: UnsafeMutablePointer<Float>, _ bias: UnsafeMutablePointer<Float>,
  _ epsilon: Float, into y: Place, _ count: Int
) -> (mean: Float, inverse: Float) {
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  // 1. Mean, in two sums so that additions need not wait for one another.
  var (even, odd) = (Lanes.zero, Lanes.zero)
  var i = 0
  while i + 2 * laneCount <= whole {
    even += x.lanes(at: i)
    odd += x.lanes(at: i + laneCount)
    i += 2 * laneCount
  }
  if i < whole { even += x.lanes(at: i) }
  if rest > 0 { odd += x.lanes(at: whole, first: rest) }
  let mean = sum(even + odd) / Float(count)
  // 2. Variance, from the deviations: no difference of large squares.
  let means = Lanes(repeating: mean)
  (even, odd) = (.zero, .zero)
  i = 0
  while i + 2 * laneCount <= whole {
    let (a, b) = (x.lanes(at: i) - means, x.lanes(at: i + laneCount) - means)
    even.addProduct(a, a)
    odd.addProduct(b, b)
    i += 2 * laneCount
  }
  if i < whole {
    let a = x.lanes(at: i) - means
    even.addProduct(a, a)
  }
  if rest > 0 {
    let b = x.lanes(at: whole, first: rest, filler: mean) - means
    odd.addProduct(b, b)
  }
  let inverse = 1 / (sum(even + odd) / Float(count) + epsilon).squareRoot()
  // 3. The row.
  let inverses = Lanes(repeating: inverse)
  i = 0
  while i < whole {
    y.store(bias.lanes(at: i).addingProduct((x.lanes(at: i) - means) * inverses, weight.lanes(at: i)), at: i)
    i += laneCount
  }
  if rest > 0 {
    let last = bias.lanes(at: i).addingProduct((x.lanes(at: i) - means) * inverses, weight.lanes(at: i))
    y.store(last, at: i, first: rest)
  }
  return (mean, inverse)
}

/// The gradients of `layerNorm`.
///
/// With n = (x - mean) * inverse and g = dY * weight: dX = inverse * (g - mean(g) - n * mean(g * n)).
/// - Parameters:
///   - x: `[rows, columns]`, what was normalised.
///   - moments: `[rows, 2]`, kept by `layerNorm`.
///   - weight: `[columns]`.
///   - gradient: dY, `[rows, columns]`.
///   - dX: `[rows, columns]`; may be `gradient`, unless added to.
///   - adding: whether `dX` is added to, as where a residual branch joins its stream, or overwritten.
///   - weightGradient: `[columns]`, added to, in row order.
///   - biasGradient: `[columns]`, added to, in row order.
public func layerNormBackward(
  _ x: Matrix, moments: Matrix, weight: Vector, gradient: Matrix, into dX: Matrix, adding: Bool = false,
  weightGradient: Vector, biasGradient: Vector
) {
  invariant(x.rows == dX.rows && x.columns == dX.columns && x.rows == gradient.rows && x.columns == gradient.columns)
  invariant(moments.rows == x.rows && moments.columns == 2)
  invariant(weight.count == x.columns && weightGradient.count == x.columns && biasGradient.count == x.columns)
  let count = x.columns
  let (whole, rest) = (count / laneCount * laneCount, count % laneCount)
  let (weight, dW, dB) = (weight.base, weightGradient.base, biasGradient.base)
  for row in 0..<x.rows {
    let (x, dX, dY) = (x.base + row * x.stride, dX.base + row * dX.stride, gradient.base + row * gradient.stride)
    let means = Lanes(repeating: moments.base[row * moments.stride])
    let inverses = Lanes(repeating: moments.base[row * moments.stride + 1])
    // 1. Both means, and the parameters' shares.
    var (sums, products) = (Lanes.zero, Lanes.zero)
    var i = 0
    while i < whole {
      let n = (x.lanes(at: i) - means) * inverses
      let dy = dY.lanes(at: i)
      let g = dy * weight.lanes(at: i)
      sums += g
      products.addProduct(g, n)
      dW.store(dW.lanes(at: i).addingProduct(dy, n), at: i)
      dB.store(dB.lanes(at: i) + dy, at: i)
      i += laneCount
    }
    if rest > 0 {
      let n = (x.lanes(at: i) - means) * inverses
      let dy = dY.lanes(at: i)
      let g = Lanes.zero.replacing(with: dy * weight.lanes(at: i), where: firstLanes(rest))
      sums += g
      products += Lanes.zero.replacing(with: g * n, where: firstLanes(rest))
      dW.store(dW.lanes(at: i).addingProduct(dy, n), at: i, first: rest)
      dB.store(dB.lanes(at: i) + dy, at: i, first: rest)
    }
    let meanOfG = Lanes(repeating: sum(sums) / Float(count))
    let meanOfGN = Lanes(repeating: sum(products) / Float(count))
    // 2. The row.
    @inline(__always)
    func share(_ i: Int) -> Lanes {
      let n = (x.lanes(at: i) - means) * inverses
      let g = dY.lanes(at: i) * weight.lanes(at: i)
      return inverses * (g - meanOfG).addingProduct(-n, meanOfGN)
    }
    i = 0
    if adding {
      while i < whole {
        dX.store(dX.lanes(at: i) + share(i), at: i)
        i += laneCount
      }
      if rest > 0 { dX.store(dX.lanes(at: i) + share(i), at: i, first: rest) }
    } else {
      while i < whole {
        dX.store(share(i), at: i)
        i += laneCount
      }
      if rest > 0 { dX.store(share(i), at: i, first: rest) }
    }
  }
}
