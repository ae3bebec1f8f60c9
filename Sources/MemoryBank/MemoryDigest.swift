import Numerics

/// A digest of all rows ever enqueued, in their order: each row is hashed together with the state before it.
///
/// It costs the same however large the memory is, and where two runs have the same digest they have the same rows. It is
/// taken of the rows as they are stored, so that whoever has a piece of the chain's rows can follow it without computing.
public struct MemoryDigest: Hashable, Sendable {
  /// Of the rows so far; what a manifest keeps.
  public private(set) var state: Digest

  /// Of no rows.
  public init() { state = Digest(high: 0, low: 0) }

  /// Goes on from a state that a manifest kept.
  public init(resuming state: Digest) { self.state = state }

  public mutating func append(_ rows: Matrix, as rowType: RowType = .fp32) {
    withUnsafeTemporaryAllocation(byteCount: 16 + rows.columns * rowType.bytes, alignment: 16) { link in
      for index in 0..<rows.rows {
        rowType.store(rows.row(at: index), into: UnsafeMutableRawBufferPointer(rebasing: link[16...]))
        append(link)
      }
    }
  }

  /// A row's bytes as they are stored.
  mutating func append(row: UnsafeRawBufferPointer) {
    withUnsafeTemporaryAllocation(byteCount: 16 + row.count, alignment: 16) { link in
      UnsafeMutableRawBufferPointer(rebasing: link[16...]).copyMemory(from: row)
      append(link)
    }
  }

  /// - Parameter link: room for the state, then the row.
  private mutating func append(_ link: UnsafeMutableRawBufferPointer) {
    link.storeBytes(of: state.high.littleEndian, as: UInt64.self)
    link.storeBytes(of: state.low.littleEndian, toByteOffset: 8, as: UInt64.self)
    state = Digest(of: UnsafeRawBufferPointer(link))
  }
}
