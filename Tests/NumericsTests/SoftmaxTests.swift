import Foundation
import Numerics
import Testing

@Suite struct SoftmaxTests {
  private func naive(_ row: [Double], scale: Double) -> [Double] {
    let top = row.max()!
    let e = row.map { exp(scale * ($0 - top)) }
    return e.map { $0 / e.reduce(0, +) }
  }

  @Test(arguments: Shape.odd, [0.125, 1, 25] as [Float]) func matchesNaive(shape: Shape, scale: Float) {
    let x = shape.matrix(salt: 1)
    let expected = doubles(x).map { naive($0, scale: Double(scale)) }
    softmaxRows(x, scale: scale)
    #expect(difference(doubles(x), expected) < 1e-6)
    #expect(gapsAreWhole(x))
    for row in 0..<x.rows { #expect(abs(doubles(x.row(at: row)).reduce(0, +) - 1) < 1e-5) }
  }

  @Test func survivesLogitsOf1e4() {
    let x = FloatBuffer([1e4, -1e4, 1e4, 0, 9_999, -1e4, -1e4, -1e4, -1e4, -1e4]).matrix(rows: 1, columns: 10)
    softmaxRows(x, scale: 10)
    #expect(difference(x.array.map(Double.init), [0.5, 0, 0.5, 0, 0, 0, 0, 0, 0, 0]) < 3e-5)
  }

  @Test func oneColumnGivesOne() {
    let x = FloatBuffer([-1e4, 0, 3e38]).matrix(rows: 3, columns: 1)
    softmaxRows(x, scale: 10)
    #expect(x.array == [1, 1, 1])
  }

  @Test func aNaNSpoilsItsOwnRowAlone() {
    let x = Shape(rows: 3, columns: 13, gap: 0).matrix(salt: 3)
    x[1, 12] = .nan
    softmaxRows(x)
    #expect(x.row(at: 1).array.allSatisfy { $0.isNaN })
    #expect(x.row(at: 0).array.allSatisfy { $0.isFinite } && x.row(at: 2).array.allSatisfy { $0.isFinite })
  }

  @Test(arguments: Shape.odd) func backwardMatchesNaive(shape: Shape) {
    let (p, gradient) = (shape.matrix(salt: 4), shape.matrix(salt: 5))
    softmaxRows(p, scale: 2)
    let expected = zip(doubles(p), doubles(gradient)).map { p, d in
      let mean = zip(p, d).map(*).reduce(0, +)
      return zip(p, d).map { 0.5 * $0 * ($1 - mean) }
    }
    softmaxBackward(Factor(p), gradient: gradient, scale: 0.5, into: Factor(gradient))
    #expect(difference(doubles(gradient), expected) < 1e-6)
    #expect(gapsAreWhole(gradient))
  }

  /// A row's bits must not depend on where in a matrix it stands, nor on what follows it.
  @Test(arguments: [17, 37, 197]) func aRowsBitsDependOnItAlone(columns: Int) {
    let together = Shape(rows: 9, columns: columns, gap: 0).matrix(salt: 6)
    let alone = Shape(rows: 1, columns: columns, gap: 3).matrix(salt: 7)
    copy(together.rows(4..<5), into: alone)
    softmaxRows(together, scale: 0.125)
    softmaxRows(alone, scale: 0.125)
    #expect(together.row(at: 4).array == alone.row(at: 0).array)
  }
}
