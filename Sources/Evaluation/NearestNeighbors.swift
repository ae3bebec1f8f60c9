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
    let similarities = FloatBuffer(count: bank.rows).matrix(rows: 1, columns: bank.rows)
    var right = 0
    for query in 0..<queries.rows {
      multiply(queries.rows(query..<query + 1), .asIs, bank, .transposed, into: similarities)
      if vote(similarities.array, k: k) == truth[query] { right += 1 }
    }
    return Double(right) / Double(queries.rows)
  }

  private func vote(_ similarities: [Float], k: Int) -> Int {
    let nearest = similarities.indices.sorted { similarities[$0] > similarities[$1] }.prefix(k)
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
