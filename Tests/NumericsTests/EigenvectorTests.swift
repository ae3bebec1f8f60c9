import Numerics
import Testing

@Suite struct EigenvectorTests {
  @Test func theyAreOnlyStretchedAndStandAtRightAngles() throws {
    var stream = RandomStream(RandomKey(seed: 3, purpose: .evaluation))
    let size = 17
    var matrix = SymmetricMatrix(size: size)
    matrix.addProducts(ofRows: (0..<40 * size).map { _ in stream.normal() })
    let (values, vectors) = try #require(matrix.eigenvectors())
    #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 } && values.count == size)
    for (value, vector) in zip(values, vectors) {
      for row in 0..<size {
        let product = (0..<size).reduce(0.0) { $0 + matrix[row, $1] * vector[$1] }
        #expect(abs(product - value * vector[row]) < 1e-9)
      }
      for (place, other) in vectors.enumerated() {
        let product = zip(vector, other).reduce(0.0) { $0 + $1.0 * $1.1 }
        #expect(abs(product - (other == vector ? 1 : 0)) < 1e-12, "\(place)")
      }
    }
  }

  @Test func whatIsNotFiniteHasNone() {
    var matrix = SymmetricMatrix(size: 2)
    matrix.addProducts(ofRows: [1, .infinity])
    #expect(matrix.eigenvectors() == nil)
  }
}
