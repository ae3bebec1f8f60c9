import Numerics
import Testing

@Suite struct MultiplicationTests {
  @Test(arguments: [Transposition.asIs, .transposed], [Transposition.asIs, .transposed])
  func matchesNaive(a: Transposition, b: Transposition) {
    let (rows, inner, columns) = (5, 19, 11)
    let left = (a == .asIs ? Shape(rows: rows, columns: inner, gap: 3) : Shape(rows: inner, columns: rows, gap: 0))
      .matrix(salt: 1)
    let right =
      (b == .asIs ? Shape(rows: inner, columns: columns, gap: 0) : Shape(rows: columns, columns: inner, gap: 1))
      .matrix(salt: 2)
    let c = Shape(rows: rows, columns: columns, gap: 2).matrix(salt: 3)
    let before = doubles(c)
    multiply(left, a, right, b, scale: 0.5, keep: 2, into: c)
    var expected = before
    for row in 0..<rows {
      for column in 0..<columns {
        var product = 0.0
        for k in 0..<inner {
          let factor = a == .asIs ? left[row, k] : left[k, row]
          let other = b == .asIs ? right[k, column] : right[column, k]
          product += Double(factor) * Double(other)
        }
        expected[row][column] = 2 * before[row][column] + 0.5 * product
      }
    }
    #expect(difference(doubles(c), expected) < 1e-6)
    #expect(gapsAreWhole(c))
  }
}
