import Numerics

/// Seeded floats for tests (SplitMix64).
struct RandomFloats {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Uniform in -1..<1.
  mutating func next() -> Float {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Float((z ^ (z >> 31)) >> 40) / Float(1 << 23) - 1
  }

  mutating func matrix(rows: Int, columns: Int) -> Matrix {
    FloatBuffer((0..<rows * columns).map { _ in next() }).matrix(rows: rows, columns: columns)
  }

  /// Rows of unit length.
  mutating func embeddings(rows: Int, width: Int) -> Matrix {
    let m = matrix(rows: rows, columns: width)
    for row in 0..<rows {
      let norm = Float(dot(m.row(at: row), m.row(at: row)).squareRoot())
      for column in 0..<width { m[row, column] /= norm }
    }
    return m
  }
}

/// Rows of doubles, for the naive versions.
func doubles(_ m: Matrix) -> [[Double]] { (0..<m.rows).map { row in (0..<m.columns).map { Double(m[row, $0]) } } }
