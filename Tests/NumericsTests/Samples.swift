import Numerics

/// Shapes that leave every kind of tail, and rows with a gap between them.
struct Shape: Sendable, CustomStringConvertible {
  let rows: Int
  let columns: Int
  let gap: Int

  static let odd: [Shape] = [
    Shape(rows: 1, columns: 1, gap: 0), Shape(rows: 3, columns: 2, gap: 1), Shape(rows: 2, columns: 7, gap: 0),
    Shape(rows: 5, columns: 8, gap: 3), Shape(rows: 4, columns: 9, gap: 0), Shape(rows: 7, columns: 17, gap: 5),
    Shape(rows: 6, columns: 23, gap: 0), Shape(rows: 9, columns: 37, gap: 2), Shape(rows: 8, columns: 64, gap: 0),
    Shape(rows: 13, columns: 197, gap: 11), Shape(rows: 3, columns: 301, gap: 0),
  ]

  var description: String { "\(rows) x \(columns), gap \(gap)" }

  /// Normal numbers of their own for each `salt`, the gaps filled with NaN: a kernel that lets
  /// them into a sum, or writes over them, is found out.
  func matrix(salt: UInt64, deviation: Double = 1, mean: Double = 0) -> Matrix {
    let buffer = FloatBuffer(count: rows * (columns + gap) + 8)
    fill(buffer.vector, with: .nan)
    let matrix = buffer.matrix(rows: rows, columns: columns, stride: columns + gap)
    var stream = RandomStream(RandomKey(seed: salt, purpose: .synthesis))
    for row in 0..<rows {
      for column in 0..<columns { matrix[row, column] = Float(mean + deviation * stream.normal()) }
    }
    return matrix
  }

  func rowVector(salt: UInt64, deviation: Double = 1, mean: Double = 0) -> Vector {
    Shape(rows: 1, columns: columns, gap: 0).matrix(salt: salt, deviation: deviation, mean: mean).row(at: 0)
  }
}

/// Whether nothing was written between or after the rows.
func gapsAreWhole(_ matrix: Matrix) -> Bool {
  let all = matrix.buffer.array
  return all.indices.allSatisfy { index in
    let (row, column) = (index / matrix.stride, index % matrix.stride)
    return row < matrix.rows && column < matrix.columns || all[index].isNaN
  }
}

func doubles(_ matrix: Matrix) -> [[Double]] {
  (0..<matrix.rows).map { row in (0..<matrix.columns).map { Double(matrix[row, $0]) } }
}

func doubles(_ vector: Vector) -> [Double] { vector.array.map(Double.init) }

/// The largest difference, over max(1, the largest true value).
func difference(_ found: [[Double]], _ expected: [[Double]]) -> Double {
  difference(found.flatMap { $0 }, expected.flatMap { $0 })
}

func difference(_ found: [Double], _ expected: [Double]) -> Double {
  let scale = max(1, expected.map(abs).max() ?? 1)
  return zip(found, expected).map { ($0 - $1).isNaN ? .infinity : abs($0 - $1) / scale }.max() ?? 0
}
