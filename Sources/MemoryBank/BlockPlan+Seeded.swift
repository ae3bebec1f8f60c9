import Numerics

extension BlockPlan {
  /// The blocks of a memory that holds no stored row, each `[blockSize, width]`.
  public func seededBlocks(_ seeded: SeededRows) -> [Matrix] {
    (0..<blockCount).map { block in
      let matrix = FloatBuffer(count: blockSize * seeded.width).matrix(rows: blockSize, columns: seeded.width)
      for position in 0..<blockSize {
        seeded.write(row: row(block: block, position: position), into: matrix.row(at: position))
      }
      return matrix
    }
  }
}
