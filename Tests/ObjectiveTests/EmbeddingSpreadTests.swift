import Numerics
import Objective
import TestSupport
import Testing

@Suite struct EmbeddingSpreadTests {
  @Test func evenlySpreadIsOneAndAllTheSameIsNone() {
    var random = RandomFloats(seed: 4)
    let even = random.embeddings(rows: 4096, width: 32)
    #expect(abs(embeddingSpread(even) - 1) < 0.02)
    let same = FloatBuffer(count: 50 * 7).matrix(rows: 50, columns: 7)
    for row in 0..<50 { copy(even.row(at: 0).vector(at: 0, count: 7), into: same.row(at: row)) }
    #expect(embeddingSpread(same) < 1e-6)
  }

  @Test func twoOppositePointsAreSpreadInOneDimension() {
    let rows = FloatBuffer(count: 2 * 4).matrix(rows: 2, columns: 4)
    (rows[0, 2], rows[1, 2]) = (1, -1)
    #expect(embeddingSpread(rows) == 0.5)
  }
}
