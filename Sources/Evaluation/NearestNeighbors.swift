import Numerics

/// The field's k-NN classifier on frozen features.
///
/// A query's class is the one with the largest sum of exp(cosine / 0.07) over the k nearest pictures of the bank.
public struct NearestNeighbors {
  /// `[pictures, width]`, rows of unit length.
  private let bank: Matrix
  private let classes: [Int]
  private let classCount: Int

  static let temperature: Float = 0.07
  /// Queries compared in one product: tall enough for BLAS's full speed.
  static let queriesTogether = 128

  /// - Parameters:
  ///   - bank: `[pictures, width]`, rows of any length above 0; copied at unit length.
  ///   - classes: one a row, 0..<classCount.
  public init(bank: Matrix, classes: [Int], classCount: Int) {
    invariant(bank.rows == classes.count, "one class a picture")
    self.bank = unitRows(bank)
    self.classes = classes
    self.classCount = classCount
  }

  /// The share of queries that get their own class.
  /// - Parameter k: neighbours that vote; all of the bank's if it has fewer.
  public func accuracy(of queries: Matrix, classes truth: [Int], k: Int) -> Double {
    invariant(queries.rows == truth.count && k > 0)
    let queries = unitRows(queries)
    let k = min(k, bank.rows)
    let together = min(Self.queriesTogether, queries.rows)
    let similarities = FloatBuffer(count: together * bank.rows).matrix(rows: together, columns: bank.rows)
    var right = 0
    for start in stride(from: 0, to: queries.rows, by: together) {
      let range = start..<min(start + together, queries.rows)
      let scores = similarities.rows(0..<range.count)
      multiply(queries.rows(range), .asIs, bank, .transposed, into: scores)
      for query in range where vote(scores.row(at: query - start).array, k: k) == truth[query] { right += 1 }
    }
    return Double(right) / Double(queries.rows)
  }

  private func vote(_ similarities: [Float], k: Int) -> Int {
    // The k nearest so far, nearest first; of equals the first in the bank.
    var nearest: [Int] = []
    nearest.reserveCapacity(k + 1)
    for index in similarities.indices {
      if nearest.count == k, similarities[index] <= similarities[nearest[k - 1]] { continue }
      var place = nearest.count
      while place > 0, similarities[nearest[place - 1]] < similarities[index] { place -= 1 }
      nearest.insert(index, at: place)
      if nearest.count > k { nearest.removeLast() }
    }
    var votes = [Float](repeating: 0, count: classCount)
    for index in nearest { votes[classes[index]] += exponential(similarities[index] / Self.temperature) }
    return votes.indices.max { votes[$0] < votes[$1] } ?? 0
  }
}

private func unitRows(_ matrix: Matrix) -> Matrix {
  let unit = FloatBuffer(count: matrix.rows * matrix.columns).matrix(rows: matrix.rows, columns: matrix.columns)
  normalizeRows(matrix, floor: 1e-6, into: unit, keeping: FloatBuffer(count: matrix.rows).vector)
  return unit
}
