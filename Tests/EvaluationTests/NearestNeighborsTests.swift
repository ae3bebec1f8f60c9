import Evaluation
import Numerics
import Testing

@Suite struct NearestNeighborsTests {
  /// Points on the unit circle, by angle in quarter turns.
  private func points(_ quarters: [Float]) -> Matrix {
    let matrix = FloatBuffer(count: quarters.count * 2).matrix(rows: quarters.count, columns: 2)
    for (row, quarter) in quarters.enumerated() {
      let (cosine, sine) = cosineAndSine(turns: Double(quarter) / 4)
      matrix[row, 0] = Float(cosine) * 3
      matrix[row, 1] = Float(sine) * 3
    }
    return matrix
  }

  @Test func theNearestDecidesAlone() {
    let neighbors = NearestNeighbors(bank: points([0, 1, 2]), classes: [0, 1, 2], classCount: 3)
    #expect(neighbors.accuracy(of: points([0.1, 0.9, 2.2]), classes: [0, 1, 2], k: 1) == 1)
    #expect(neighbors.accuracy(of: points([0.1, 0.9, 2.2]), classes: [0, 2, 2], k: 1) == 2.0 / 3)
  }

  @Test func manyFarNeighboursDoNotOutvoteOneThatIsClose() {
    let neighbors = NearestNeighbors(bank: points([0, 1, 1, 1, 1]), classes: [0, 1, 1, 1, 1], classCount: 2)
    #expect(neighbors.accuracy(of: points([0.1]), classes: [0], k: 5) == 1)
  }

  @Test func twoCloseOnesOutvoteOneThatIsClosest() {
    let neighbors = NearestNeighbors(bank: points([0, 0.02, 0.03]), classes: [0, 1, 1], classCount: 2)
    #expect(neighbors.accuracy(of: points([0]), classes: [0], k: 1) == 1)
    #expect(neighbors.accuracy(of: points([0]), classes: [1], k: 3) == 1)
  }

  /// More queries than are compared in one product.
  @Test func everyQueryIsAsked() {
    let neighbors = NearestNeighbors(bank: points([0, 2]), classes: [0, 1], classCount: 2)
    let quarters = (0..<300).map { Float($0 % 2) * 2 + 0.25 }
    #expect(neighbors.accuracy(of: points(quarters), classes: (0..<300).map { $0 % 2 }, k: 2) == 1)
  }
}
