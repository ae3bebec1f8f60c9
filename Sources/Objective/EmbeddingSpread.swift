import Numerics

/// How far apart embeddings are: sqrt(D) times the mean over dimensions of their standard deviation.
///
/// 1 for unit vectors spread evenly over the sphere, 0 when all are the same: the usual sign of collapse.
///
/// - Parameter rows: `[rows, D]`, of unit length.
/// - Complexity: rows * D, in Double.
/// - Source: Chen and He, Exploring simple Siamese representation learning (CVPR 2021), figure 2, where an output that
///   does not collapse has a standard deviation near 1 / sqrt(D).
public func embeddingSpread(_ rows: Matrix) -> Double {
  var total = 0.0
  for column in 0..<rows.columns {
    var mean = 0.0
    for row in 0..<rows.rows { mean += Double(rows[row, column]) }
    mean /= Double(rows.rows)
    var squares = 0.0
    for row in 0..<rows.rows {
      let difference = Double(rows[row, column]) - mean
      squares += difference * difference
    }
    total += (squares / Double(rows.rows)).squareRoot()
  }
  return total / Double(rows.columns).squareRoot()
}
