import MemoryBank
import Messages
import Numerics
import Wire

/// Where stored rows are read: the coordinator's own files, or a shard's.
package protocol RowSource: Sendable {
  var layout: ExtentLayout { get }
  /// Copies rows, by number and in the order given, as they are stored.
  func read(_ numbers: [Int], into target: UnsafeMutableRawBufferPointer) throws
  /// The records of consecutive rows of an extent, checked.
  func records(extent: Int, first: Int, count: Int) throws -> [UInt8]
}

extension RowStore: RowSource {}
extension ExtentStore: RowSource {}

/// Answers to requests for rows, whoever has them: a request names rows by a step's key, so it is a few numbers and
/// the bits of what the asker lacks.
package struct RowAnswers: Sendable {
  let source: any RowSource
  let keys: MemoryKeys

  package init(source: any RowSource, keys: MemoryKeys) {
    self.source = source
    self.keys = keys
  }

  /// Why something cannot be had: an answer.
  package struct Unavailable: Error {
    package let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// Floats that the largest answer takes; `rows` wants a buffer of so many.
  static let bufferFloats = WireLimits.bulkFloats

  /// - Parameter buffer: of `bufferFloats`, that nobody else holds; sent from where it is.
  /// - Throws: `Unavailable`, for rows that are not here too; what else reading throws.
  package func rows(_ request: RowRequest, into buffer: FloatBuffer) throws -> (BulkReply, Bulk) {
    let blocks = keys.blockDraw(of: request.version)
    let (block, positions) = (request.block, request.positions)
    guard block < blocks.blockCount else { throw Unavailable("block \(block) of \(blocks.blockCount)") }
    guard positions.upperBound <= blocks.blockSize else {
      throw Unavailable(
        "positions \(positions.lowerBound) to \(positions.upperBound) of a block of \(blocks.blockSize)")
    }
    let wanted = blocks.rows(block: block, at: request.missing.setBits.map { positions.lowerBound + $0 })
    let bytes = wanted.count * source.layout.rowSize
    guard !wanted.isEmpty, bytes <= WireLimits.bulkBytes else {
      throw Unavailable(
        "\(wanted.count) rows; 1 to \(WireLimits.bulkBytes / source.layout.rowSize) may be asked for at once")
    }
    if let seeded = wanted.first(where: blocks.window.isSeeded) { throw Unavailable("row \(seeded) is seeded") }
    try answeringAbsence {
      try buffer.withMutableBytes(of: 0..<buffer.count) {
        try source.read(wanted, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<bytes]))
      }
    }
    return (request.reply, .leading(buffer, bytes: bytes))
  }

  /// - Parameter buffer: as for `rows`.
  /// - Throws: as `rows`.
  func records(extent: Int, first: Int, count: Int, into buffer: FloatBuffer) throws -> (BulkReply, Bulk) {
    let layout = source.layout
    guard first < layout.capacity, count >= 1, count * layout.recordSize <= WireLimits.bulkBytes else {
      throw Unavailable("\(count) records from \(first) on of an extent of \(layout.capacity)")
    }
    let records = try answeringAbsence { try source.records(extent: extent, first: first, count: count) }
    buffer.withMutableBytes(of: 0..<buffer.count) { $0.copyBytes(from: records) }
    return (.records(extent: extent, first: first), .leading(buffer, bytes: records.count))
  }

  /// That rows are elsewhere, not here yet or not any more is no fault: the asker's table is not the newest, or it tried
  /// whoever has them before.
  private func answeringAbsence<Result>(_ read: () throws -> Result) throws -> Result {
    do {
      return try read()
    } catch MemoryBankError.extentNotHeld(_, let row) {
      throw Unavailable("row \(row) is not here")
    } catch MemoryBankError.notHeld(let row, let held) {
      throw Unavailable("row \(row) is not here; rows \(held.lowerBound) to \(held.upperBound - 1) may be")
    }
  }
}

extension ExtentLayout {
  /// Records that one frame carries.
  var recordsPerFrame: Int { max(1, WireLimits.bulkBytes / recordSize) }
}
