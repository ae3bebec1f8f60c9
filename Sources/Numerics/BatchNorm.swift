/// Batch norm of columns, training mode: each column less its mean over the rows, over its deviation.

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, column by column.
///
/// - Parameters:
///   - x: `[rows, columns]`, one row an embedding.
///   - weight: `[columns]`.
///   - bias: `[columns]`.
///   - epsilon: added to the variance.
///   - y: `[rows, columns]`; not `x`, which the backward pass wants.
///   - mean: `[columns]`, overwritten.
///   - inverseDeviation: `[columns]`, overwritten: 1 / sqrt(variance + epsilon).
///   - variance: `[columns]`, overwritten: the mean square deviation, dividing by `rows` (running statistics want
///     it times rows / (rows - 1)).
public func batchNorm(
  _ x: Matrix, weight: Vector, bias: Vector, epsilon: Float, into y: Matrix, keeping mean: Vector,
  inverseDeviation: Vector, variance: Vector
) {
  invariant(x.rows == y.rows && x.columns == y.columns)
  invariant(weight.count == x.columns && bias.count == x.columns && mean.count == x.columns)
  invariant(inverseDeviation.count == x.columns && variance.count == x.columns)
  let (columns, share) = (x.columns, Lanes(repeating: 1 / Float(x.rows)))
  // 1. Means.
  fill(mean, with: 0)
  sumRows(of: Factor(x), addingTo: mean)
  forEachLanes(columns) { i, count in
    let means = mean.base.lanes(at: i) * share
    if count == laneCount { mean.base.store(means, at: i) } else { mean.base.store(means, at: i, first: count) }
  }
  // 2. Variances, from the deviations.
  fill(variance, with: 0)
  for row in 0..<x.rows {
    let x = x.base + row * x.stride
    forEachLanes(columns) { i, count in
      let deviation = x.lanes(at: i) - mean.base.lanes(at: i)
      let squares = variance.base.lanes(at: i).addingProduct(deviation, deviation)
      if count == laneCount {
        variance.base.store(squares, at: i)
      } else {
        variance.base.store(squares, at: i, first: count)
      }
    }
  }
  for i in 0..<columns {
    variance.base[i] /= Float(x.rows)
    inverseDeviation.base[i] = 1 / (variance.base[i] + epsilon).squareRoot()
  }
  // 3. The rows.
  for row in 0..<x.rows {
    let (x, y) = (x.base + row * x.stride, y.base + row * y.stride)
    forEachLanes(columns) { i, count in
      let n = (x.lanes(at: i) - mean.base.lanes(at: i)) * inverseDeviation.base.lanes(at: i)
      let lanes = bias.base.lanes(at: i).addingProduct(n, weight.base.lanes(at: i))
      if count == laneCount { y.store(lanes, at: i) } else { y.store(lanes, at: i, first: count) }
    }
  }
}

/// The gradients of `batchNorm`.
///
/// With n = (x - mean) * inverse: dX = weight * inverse * (dY - mean(dY) - n * mean(dY * n)), means over the rows.
/// - Parameters:
///   - x: `[rows, columns]`, what was normalised.
///   - mean: `[columns]`, kept by `batchNorm`.
///   - inverseDeviation: `[columns]`, kept by `batchNorm`.
///   - weight: `[columns]`.
///   - gradient: dY, `[rows, columns]`.
///   - dX: `[rows, columns]`, overwritten; may be `gradient`.
///   - weightGradient: `[columns]`, added to.
///   - biasGradient: `[columns]`, added to.
public func batchNormBackward(
  _ x: Matrix, mean: Vector, inverseDeviation: Vector, weight: Vector, gradient: Matrix, into dX: Matrix,
  weightGradient: Vector, biasGradient: Vector
) {
  invariant(x.rows == dX.rows && x.columns == dX.columns && x.rows == gradient.rows && x.columns == gradient.columns)
  invariant(weight.count == x.columns && mean.count == x.columns && inverseDeviation.count == x.columns)
  invariant(weightGradient.count == x.columns && biasGradient.count == x.columns)
  // Strips of columns, so that a strip's two sums fit on the stack.
  var start = 0
  while start < x.columns {
    let width = min(stripWidth, x.columns - start)
    withUnsafeTemporaryAllocation(
      byteCount: 2 * stripWidth * MemoryLayout<Float>.stride, alignment: MemoryLayout<Lanes>.alignment
    ) { memory in
      let sums = memory.baseAddress!.bindMemory(to: Float.self, capacity: 2 * stripWidth)
      let products = sums + stripWidth
      sums.update(repeating: 0, count: 2 * stripWidth)
      let (mean, inverse) = (mean.base + start, inverseDeviation.base + start)
      // 1. Both sums over the rows.
      for row in 0..<x.rows {
        let (x, dY) = (x.base + row * x.stride + start, gradient.base + row * gradient.stride + start)
        forEachLanes(width) { i, count in
          let n = (x.lanes(at: i) - mean.lanes(at: i)) * inverse.lanes(at: i)
          let dy = dY.lanes(at: i)
          let (sum, product) = (sums.lanes(at: i) + dy, products.lanes(at: i).addingProduct(dy, n))
          if count == laneCount {
            sums.store(sum, at: i)
            products.store(product, at: i)
          } else {
            sums.store(sum, at: i, first: count)
            products.store(product, at: i, first: count)
          }
        }
      }
      let (dW, dB) = (weightGradient.base + start, biasGradient.base + start)
      for i in 0..<width {
        dW[i] += products[i]
        dB[i] += sums[i]
        sums[i] /= Float(x.rows)
        products[i] /= Float(x.rows)
      }
      // 2. The rows.
      let weight = weight.base + start
      for row in 0..<x.rows {
        let (x, dY) = (x.base + row * x.stride + start, gradient.base + row * gradient.stride + start)
        let dX = dX.base + row * dX.stride + start
        forEachLanes(width) { i, count in
          let n = (x.lanes(at: i) - mean.lanes(at: i)) * inverse.lanes(at: i)
          let centred = (dY.lanes(at: i) - sums.lanes(at: i)).addingProduct(-n, products.lanes(at: i))
          let lanes = weight.lanes(at: i) * inverse.lanes(at: i) * centred
          if count == laneCount { dX.store(lanes, at: i) } else { dX.store(lanes, at: i, first: count) }
        }
      }
    }
    start += width
  }
}

/// Columns in a strip of the backward pass: 1 KiB of sums.
private let stripWidth = 128

@inline(__always)
private func forEachLanes(_ count: Int, _ body: (_ index: Int, _ count: Int) -> Void) {
  var i = 0
  while i + laneCount <= count {
    body(i, laneCount)
    i += laneCount
  }
  if i < count { body(i, count - i) }
}
