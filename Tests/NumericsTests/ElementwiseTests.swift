import Numerics
import Testing

@Suite struct ElementwiseTests {
  @Test(arguments: Shape.odd) func sumsMatch(shape: Shape) {
    let (a, b, c, bias) = (
      shape.matrix(salt: 1), shape.matrix(salt: 2), shape.matrix(salt: 3), shape.rowVector(salt: 4)
    )
    add(a, b, into: c)
    let sums = zip(a.array, b.array).map(+)
    #expect(c.array == sums)
    add(a, b, into: b)
    #expect(b.array == sums)
    addScaled(a, by: 0.3, to: b)
    #expect(b.array == zip(sums, a.array).map { $0.addingProduct(0.3, $1) })
    addRow(bias, toRowsOf: c)
    #expect(c.array == sums.enumerated().map { $1 + bias[$0 % shape.columns] })
    scale(a, by: 3)
    #expect(a.array == shape.matrix(salt: 1).array.map { $0 * 3 })
    #expect([a, b, c].allSatisfy(gapsAreWhole))
  }

  @Test(arguments: Shape.odd) func largestIsFoundInEachRow(shape: Shape) {
    let a = shape.matrix(salt: 6)
    for row in 0..<shape.rows {
      let values = a.row(at: row).array
      #expect(columnOfLargest(a, row: row) == values.indices.max { values[$0] < values[$1] })
    }
  }

  @Test(arguments: Shape.odd) func vectorsMatch(shape: Shape) {
    let (a, c) = (shape.rowVector(salt: 1), shape.rowVector(salt: 2))
    let expected = zip(a.array, c.array).map { $1.addingProduct(-2, $0) }
    addScaled(a, by: -2, to: c)
    #expect(c.array == expected)
    scale(c, by: 0.5)
    #expect(c.array == expected.map { $0 * 0.5 })
    #expect(c.buffer.array[shape.columns...].allSatisfy { $0.isNaN })
  }

  @Test(arguments: Shape.odd) func copiesAndGathersTouchNothingElse(shape: Shape) {
    let (a, b, c) = (shape.matrix(salt: 1), shape.matrix(salt: 2), shape.matrix(salt: 3))
    copy(a, into: b)
    #expect(b.array == a.array)
    let indices = (0..<shape.rows).map { ($0 * 7 + 1) % shape.rows }
    gatherRows(from: a, indices, into: c)
    #expect((0..<shape.rows).allSatisfy { c.row(at: $0).array == a.row(at: indices[$0]).array })
    #expect([b, c].allSatisfy(gapsAreWhole))
  }

  @Test(arguments: Shape.odd) func columnSumsAreTakenInRowOrder(shape: Shape) {
    let (a, v) = (shape.matrix(salt: 1), shape.rowVector(salt: 2))
    var expected = v.array
    for row in 0..<shape.rows { for column in 0..<shape.columns { expected[column] += a[row, column] } }
    sumRows(of: Factor(a), addingTo: v)
    #expect(v.array == expected)
  }

  @Test(arguments: [1, 7, 8, 15, 16, 31, 65_535, 65_536, 200_003]) func dotProductsMatchDouble(count: Int) {
    let shape = Shape(rows: 1, columns: count, gap: 0)
    let (a, b) = (shape.rowVector(salt: 1), shape.rowVector(salt: 2))
    let expected = zip(doubles(a), doubles(b)).map(*).reduce(0, +)
    #expect(abs(dot(a, b) - expected) < 1e-9 * Double(count))
    #expect(abs(sumOfSquares(a) - doubles(a).map { $0 * $0 }.reduce(0, +)) < 1e-12 * Double(count))
  }

  @Test func chunksSummedApartGiveTheSameBits() {
    let v = Shape(rows: 1, columns: 3 * reductionChunk + 77, gap: 0).rowVector(salt: 1)
    var total = 0.0
    for start in stride(from: 0, to: v.count, by: reductionChunk) {
      total += sumOfSquares(v.vector(at: start, count: min(reductionChunk, v.count - start)))
    }
    #expect(total == sumOfSquares(v))
  }

  @Test(arguments: [1, 8, 13, 1024, 1029, 3000]) func oneBadElementIsFound(count: Int) {
    let v = Shape(rows: 1, columns: count, gap: 0).rowVector(salt: 1)
    #expect(isFinite(v))
    for place in [0, count / 2, count - 1] {
      for bad in [Float.nan, .infinity, -.infinity] {
        let old = v[place]
        v[place] = bad
        #expect(!isFinite(v))
        v[place] = old
      }
    }
    let window = FloatBuffer([1, .nan, .nan, .nan]).vector(at: 0, count: 1)
    #expect(isFinite(window))
  }

  @Test func anEmptyWindowIsNothing() {
    let empty = FloatBuffer(count: 4).vector(at: 4, count: 0)
    #expect(isFinite(empty) && sumOfSquares(empty) == 0)
  }
}
