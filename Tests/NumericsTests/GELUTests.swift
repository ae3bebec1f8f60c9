import Foundation
import Numerics
import Testing

@Suite struct GELUTests {
  private func probability(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }
  private func density(_ x: Double) -> Double { exp(-x * x / 2) / (2 * Double.pi).squareRoot() }

  /// -15...15 in steps of 1e-4, and what lies far outside.
  private let everywhere: FloatBuffer = FloatBuffer(
    (-150_000...150_000).map { Float($0) * 1e-4 } + [0, -0.0, 1e-30, -1e-30, 60, -60, 1e10, -1e10, 3e38, -3e38])

  @Test func isWithin2e7OfTheErrorFunction() {
    let y = FloatBuffer(count: everywhere.count)
    let shape = (1, everywhere.count)
    gelu(
      Factor(everywhere.matrix(rows: shape.0, columns: shape.1)),
      into: Factor(y.matrix(rows: shape.0, columns: shape.1)))
    var worst = 0.0
    for (x, y) in zip(everywhere.array.map(Double.init), y.array.map(Double.init)) {
      worst = max(worst, abs(y - x * probability(x)) / max(1, abs(x)))
    }
    #expect(worst <= 2e-7)
  }

  @Test func derivativeIsWithin3e7() {
    let gradient = FloatBuffer(count: everywhere.count).matrix(rows: 1, columns: everywhere.count)
    fill(gradient, with: 1)
    geluBackward(
      Factor(everywhere.matrix(rows: 1, columns: everywhere.count)), gradient: Factor(gradient),
      into: Factor(gradient))
    var worst = 0.0
    for (x, d) in zip(everywhere.array.map(Double.init), gradient.array.map(Double.init)) {
      worst = max(worst, abs(d - (probability(x) + x * density(x))))
    }
    #expect(worst <= 3e-7)
  }

  @Test func aNaNStaysOne() {
    let (x, y) = (
      FloatBuffer([1, .nan, 2]).matrix(rows: 1, columns: 3), FloatBuffer([1, 1, 1]).matrix(rows: 1, columns: 3)
    )
    geluBackward(Factor(x), gradient: Factor(y), into: Factor(y))
    gelu(Factor(x), into: Factor(x))
    #expect(x.array.map { $0.isNaN } == [false, true, false])
    #expect(y.array.map { $0.isNaN } == [false, true, false])
  }

  @Test(arguments: Shape.odd) func addsTheBiasAndKeepsTheSum(shape: Shape) {
    let (x, bias, y) = (shape.matrix(salt: 1), shape.rowVector(salt: 2), shape.matrix(salt: 3))
    let sums = doubles(x).map { zip($0, doubles(bias)).map { Double(Float($0 + $1)) } }
    geluAddingBias(x, bias: bias, into: Factor(y))
    #expect(doubles(x) == sums)
    #expect(difference(doubles(y), sums.map { $0.map { $0 * probability($0) } }) < 2e-7)
    #expect(gapsAreWhole(x) && gapsAreWhole(y))
  }
}
