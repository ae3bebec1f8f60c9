import Numerics

extension BlockPlan {
  /// The blocks of a memory that holds no stored row, each `[blockSize, width]`.
  public func seededBlocks(seed: UInt64, width: Int) -> [Matrix] {
    let seeded = SeededRows(seed: seed, width: width)
    return (0..<blockCount).map { block in
      let matrix = FloatBuffer(count: blockSize * width).matrix(rows: blockSize, columns: width)
      for position in 0..<blockSize {
        seeded.write(row: row(block: block, position: position), into: matrix.row(at: position))
      }
      return matrix
    }
  }
}
