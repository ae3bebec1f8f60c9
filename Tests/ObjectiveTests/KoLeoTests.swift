import Foundation
import Numerics
import Objective
import TestSupport
import Testing

@Suite struct KoLeoTests {
  /// In Double: neighbours by largest dot product.
  static func naive(_ z: [[Double]], globalBatch: Int) -> Double {
    var total = 0.0
    for i in z.indices {
      let nearest = z.indices.filter { $0 != i }.max { dot(z[i], z[$0]) < dot(z[i], z[$1]) }!
      let distance = zip(z[i], z[nearest]).reduce(0) { $0 + pow($1.0 - $1.1 + 1e-8, 2) }.squareRoot()
      total -= log(distance + 1e-8)
    }
    return total / Double(2 * globalBatch)
  }

  static func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

  @Test(arguments: [2, 3, 9]) func valueAndGradientMatchNaive(batch: Int) {
    var random = RandomFloats(seed: UInt64(batch))
    let z = random.embeddings(rows: batch, width: 11)
    let gradient = FloatBuffer(count: batch * 11).matrix(rows: batch, columns: 11)
    let value = KoLeo(batch: batch, globalBatch: 2 * batch).add(embeddings: z, weight: 0.5, to: gradient)
    #expect(abs(value - Self.naive(doubles(z), globalBatch: 2 * batch)) < 1e-6)
    let expected = slopes(of: { 0.5 * Self.naive($0, globalBatch: 2 * batch) }, at: doubles(z))
    for (found, wanted) in zip(doubles(gradient).joined(), expected.joined()) { #expect(abs(found - wanted) < 1e-6) }
  }

  @Test func equalEmbeddingsStayFinite() {
    var random = RandomFloats(seed: 5)
    let z = random.embeddings(rows: 2, width: 4)
    copy(z.row(at: 0), into: z.row(at: 1))
    let gradient = FloatBuffer(count: 8).matrix(rows: 2, columns: 4)
    let value = KoLeo(batch: 2, globalBatch: 2).add(embeddings: z, weight: 1, to: gradient)
    #expect(value.isFinite && value > 8)
    #expect(isFinite(gradient.buffer.vector))
  }
}
