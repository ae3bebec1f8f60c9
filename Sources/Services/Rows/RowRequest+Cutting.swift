import MemoryBank
import Messages

extension RowRequest {
  /// Cuts a block's bitmap, at whole bytes, into requests of at most `rowsAtMost` missing rows; one that would ask for
  /// none is left out.
  ///
  /// - Parameters:
  ///   - bitmap: of all positions of the block.
  ///   - rowsAtMost: at least 8.
  package static func requests(
    of version: MemoryVersion, block: Int, missing bitmap: [UInt8], positions: Int, rowsAtMost: Int
  ) -> [RowRequest] {
    var requests: [RowRequest] = []
    var start = 0
    var rows = 0
    func close(at end: Int) {
      if rows > 0 {
        requests.append(
          RowRequest(
            version: version, block: block, positions: (start * 8)..<min(end * 8, positions),
            missing: Array(bitmap[start..<end])))
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
}
