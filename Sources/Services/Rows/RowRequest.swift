import Messages

/// Consecutive positions of a block whose missing rows fit one answer.
package struct RowRequest: Equatable, Sendable {
  package var block: Int
  package var positions: Range<Int>
  /// Bit i % 8 of byte i / 8 is for position `positions.lowerBound + i`.
  package var missing: [UInt8]
  /// Bits set in `missing`.
  package var rows: Int

  /// Cuts a block's bitmap, at whole bytes, into requests of at most `rowsAtMost` missing rows; one that would ask for
  /// none is left out.
  ///
  /// - Parameters:
  ///   - bitmap: of all positions of the block.
  ///   - rowsAtMost: at least 8.
  package static func requests(
    block: Int, missing bitmap: [UInt8], positions: Int, rowsAtMost: Int
  ) -> [RowRequest] {
    var requests: [RowRequest] = []
    var start = 0
    var rows = 0
    func close(at end: Int) {
      if rows > 0 {
        requests.append(
          RowRequest(
            block: block, positions: (start * 8)..<min(end * 8, positions), missing: Array(bitmap[start..<end]),
            rows: rows))
      }
      (start, rows) = (end, 0)
    }
    for (index, byte) in bitmap.enumerated() {
      let isFull = rows + byte.nonzeroBitCount > rowsAtMost || (index - start + 1) * 8 > WireLimits.rowsPerRequest
      if isFull { close(at: index) }
      rows += byte.nonzeroBitCount
    }
    close(at: bitmap.count)
    return requests
  }

  package func message(step: Int, rows: Int, floor: Int) -> BulkRequest {
    .rows(
      step: step, rows: rows, floor: floor, block: block, first: positions.lowerBound, count: positions.count,
      missing: missing)
  }
}
