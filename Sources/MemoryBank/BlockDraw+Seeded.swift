import Numerics

extension BlockDraw {
  /// Computes those rows of a block that are seeded, each into its place.
  ///
  /// - Parameter matrix: the whole block, `[blockSize, width]`; other positions are not touched.
  /// - Returns: the positions of the others, which are stored, in order.
  public func writeSeededRows(of block: Int, _ seeded: SeededRows, into matrix: Matrix) -> [Int] {
    (0..<blockSize).filter { position in
      let row = row(block: block, position: position)
      guard window.isSeeded(row) else { return true }
      seeded.write(row: row, into: matrix.row(at: position))
      return false
    }
  }

  /// The blocks of a memory that holds no stored row, each `[blockSize, width]`.
  public func seededBlocks(_ seeded: SeededRows) -> [Matrix] {
    (0..<blockCount).map { block in
      let matrix = FloatBuffer(count: blockSize * seeded.width).matrix(rows: blockSize, columns: seeded.width)
      let stored = writeSeededRows(of: block, seeded, into: matrix)
      invariant(stored.isEmpty, "\(stored.count) rows of block \(block) are stored")
      return matrix
    }
  }
}
