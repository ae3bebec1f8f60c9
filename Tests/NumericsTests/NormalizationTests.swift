import Numerics
import Testing

/// Layer norm, batch norm and unit length, each against Double, and each gradient against central differences.
@Suite struct NormalizationTests {
  static let epsilon: Float = 1e-5

  private func naiveNorm(_ x: [Double]) -> [Double] {
    let mean = x.reduce(0, +) / Double(x.count)
    let variance = x.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(x.count)
    return x.map { ($0 - mean) / (variance + Double(Self.epsilon)).squareRoot() }
  }

  private func transposed(_ x: [[Double]]) -> [[Double]] { x[0].indices.map { column in x.map { $0[column] } } }

  /// Sum of weights * norm(x), differentiated by each element of x: what a backward pass should give.
  private func slope(_ x: [Double], _ weights: [Double], _ norm: ([Double]) -> [Double]) -> [Double] {
    x.indices.map { index in
      func value(_ step: Double) -> Double {
        var moved = x
        moved[index] += step
        return zip(norm(moved), weights).map(*).reduce(0, +)
      }
      return (value(1e-5) - value(-1e-5)) / 2e-5
    }
  }

  /// One column has no deviation to divide by: gradients there are rounding over sqrt(epsilon).
  static let shapes = Shape.odd.filter { $0.columns > 2 && $0.rows > 1 }

  @Test(arguments: Shape.odd) func layerNormMatchesNaive(shape: Shape) {
    let (x, y) = (shape.matrix(salt: 1, deviation: 2, mean: 3), shape.matrix(salt: 2))
    let (weight, bias) = (shape.rowVector(salt: 3), shape.rowVector(salt: 4))
    let moments = FloatBuffer(count: shape.rows * 2).matrix(rows: shape.rows, columns: 2)
    layerNorm(x, weight: weight, bias: bias, epsilon: Self.epsilon, into: Factor(y), keeping: moments)
    let (w, b) = (doubles(weight), doubles(bias))
    let expected = doubles(x).map { row in zip(naiveNorm(row), w.indices).map { $0 * w[$1] + b[$1] } }
    #expect(difference(doubles(y), expected) < 5e-6)
    #expect(gapsAreWhole(y))
  }

  @Test(arguments: shapes, [false, true]) func layerNormGradientsMatchDifferences(shape: Shape, adding: Bool) {
    let (x, y, gradient) = (shape.matrix(salt: 1, mean: 1), shape.matrix(salt: 2), shape.matrix(salt: 3))
    let (weight, bias) = (shape.rowVector(salt: 4), shape.rowVector(salt: 5))
    let moments = FloatBuffer(count: shape.rows * 2).matrix(rows: shape.rows, columns: 2)
    layerNorm(x, weight: weight, bias: bias, epsilon: Self.epsilon, into: Factor(y), keeping: moments)
    let (dX, dW, dB) = (shape.matrix(salt: 6), shape.rowVector(salt: 7), shape.rowVector(salt: 8))
    let (oldX, oldW, oldB) = (doubles(dX), doubles(dW), doubles(dB))
    layerNormBackward(
      x, moments: moments, weight: weight, gradient: gradient, into: dX, adding: adding, weightGradient: dW,
      biasGradient: dB)
    let (w, d) = (doubles(weight), doubles(gradient))
    let expected = zip(doubles(x), d).map { slope($0, zip($1, w).map(*), naiveNorm) }
    let before = adding ? oldX : oldX.map { $0.map { _ in 0 } }
    #expect(difference(doubles(dX), zip(expected, before).map { zip($0, $1).map(+) }) < 1e-5)
    let normed = doubles(x).map(naiveNorm)
    let expectedW = oldW.indices.map { c in oldW[c] + d.indices.map { d[$0][c] * normed[$0][c] }.reduce(0, +) }
    let expectedB = oldB.indices.map { c in oldB[c] + d.indices.map { d[$0][c] }.reduce(0, +) }
    #expect(difference(doubles(dW), expectedW) < 1e-5)
    #expect(difference(doubles(dB), expectedB) < 1e-5)
    #expect(gapsAreWhole(dX))
  }

  @Test(arguments: Shape.odd.filter { $0.rows > 2 }) func batchNormAndGradientsMatch(shape: Shape) {
    let (x, y, gradient) = (shape.matrix(salt: 1, mean: 2), shape.matrix(salt: 2), shape.matrix(salt: 3))
    let (weight, bias) = (shape.rowVector(salt: 4), shape.rowVector(salt: 5))
    let (mean, inverse, variance) = (shape.rowVector(salt: 6), shape.rowVector(salt: 7), shape.rowVector(salt: 8))
    batchNorm(
      x, weight: weight, bias: bias, epsilon: Self.epsilon, into: y, keeping: mean, inverseDeviation: inverse,
      variance: variance)
    let columns = transposed(doubles(x))
    let normed = columns.map(naiveNorm)
    let (w, b) = (doubles(weight), doubles(bias))
    #expect(difference(transposed(doubles(y)), normed.indices.map { c in normed[c].map { $0 * w[c] + b[c] } }) < 1e-5)
    for (c, column) in columns.enumerated() {
      let m = column.reduce(0, +) / Double(column.count)
      #expect(abs(Double(mean[c]) - m) < 1e-6 * max(1, abs(m)))
      let v = column.map { ($0 - m) * ($0 - m) }.reduce(0, +) / Double(column.count)
      #expect(abs(Double(variance[c]) - v) < 1e-5 * max(1, v))
    }
    let (dW, dB) = (shape.rowVector(salt: 10), shape.rowVector(salt: 11))
    let (oldW, oldB, d) = (doubles(dW), doubles(dB), transposed(doubles(gradient)))
    batchNormBackward(
      x, mean: mean, inverseDeviation: inverse, weight: weight, gradient: gradient, into: gradient,
      weightGradient: dW, biasGradient: dB)
    let expected = columns.indices.map { c in slope(columns[c], d[c].map { $0 * w[c] }, naiveNorm) }
    #expect(difference(transposed(doubles(gradient)), expected) < 3e-5)
    #expect(
      difference(doubles(dW), d.indices.map { c in oldW[c] + zip(d[c], normed[c]).map(*).reduce(0, +) }) < 1e-5)
    #expect(difference(doubles(dB), d.indices.map { c in oldB[c] + d[c].reduce(0, +) }) < 1e-5)
    #expect(gapsAreWhole(y) && gapsAreWhole(gradient))
  }

  @Test(arguments: Shape.odd) func unitLengthAndItsGradientMatch(shape: Shape) {
    let (x, y, gradient, dX) = (
      shape.matrix(salt: 1), shape.matrix(salt: 2), shape.matrix(salt: 3), shape.matrix(salt: 4)
    )
    let norms = FloatBuffer(count: shape.rows).vector
    func unit(_ x: [Double]) -> [Double] {
      let norm = x.map { $0 * $0 }.reduce(0, +).squareRoot()
      return x.map { $0 / norm }
    }
    normalizeRows(x, floor: 1e-6, into: y, keeping: norms)
    normalizeRowsBackward(y, norms: norms, floor: 1e-6, gradient: gradient, into: dX)
    #expect(difference(doubles(y), doubles(x).map(unit)) < 1e-6)
    #expect(difference(doubles(dX), zip(doubles(x), doubles(gradient)).map { slope($0, $1, unit) }) < 2e-5)
    #expect(gapsAreWhole(y) && gapsAreWhole(dX))
  }

  @Test func aRowBelowTheFloorIsDividedByIt() {
    let x = FloatBuffer([3e-7, -4e-7, 0, 0]).matrix(rows: 2, columns: 2)
    let (y, norms) = (FloatBuffer(count: 4).matrix(rows: 2, columns: 2), FloatBuffer(count: 2).vector)
    normalizeRows(x, floor: 1e-6, into: y, keeping: norms)
    #expect(difference(doubles(y), [[0.3, -0.4], [0, 0]]) < 1e-6)
    let gradient = FloatBuffer([1, 2, 3, 4]).matrix(rows: 2, columns: 2)
    normalizeRowsBackward(y, norms: norms, floor: 1e-6, gradient: gradient, into: gradient)
    #expect(difference(doubles(gradient), [[1e6, 2e6], [3e6, 4e6]]) < 1e-6)
  }
}
