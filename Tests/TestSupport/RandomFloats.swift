import Numerics

/// Seeded floats for tests, uniform in -1..<1.
public struct RandomFloats {
  private var random: SplitMix64

  public init(seed: UInt64) { random = SplitMix64(seed: seed) }

  public mutating func next() -> Float { random.nextFloat() }

  public mutating func buffer(count: Int, scale: Float = 1) -> FloatBuffer {
    FloatBuffer((0..<count).map { _ in scale * next() })
  }

  public mutating func matrix(rows: Int, columns: Int) -> Matrix {
    buffer(count: rows * columns).matrix(rows: rows, columns: columns)
  }

  /// Rows of unit length.
  public mutating func embeddings(rows: Int, width: Int) -> Matrix {
    let m = matrix(rows: rows, columns: width)
    for row in 0..<rows {
      let norm = Float(dot(m.row(at: row), m.row(at: row)).squareRoot())
      for column in 0..<width { m[row, column] /= norm }
    }
    return m
  }
}

/// Rows of doubles, for the naive versions.
public func doubles(_ m: Matrix) -> [[Double]] {
  (0..<m.rows).map { row in (0..<m.columns).map { Double(m[row, $0]) } }
}
