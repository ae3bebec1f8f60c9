import MemoryBank

/// Rows of one block of a step's memory that are asked for together: those of consecutive positions whose bits are set. With
/// the version of the memory whoever holds rows knows which ones these are.
public struct RowRequest: Hashable, Sendable {
  public var version: MemoryVersion
  public var block: Int
  public var positions: Range<Int>
  /// Bit i % 8 of byte i / 8 is for position `positions.lowerBound + i`.
  public var missing: [UInt8]

  public init(version: MemoryVersion, block: Int, positions: Range<Int>, missing: [UInt8]) {
    self.version = version
    self.block = block
    self.positions = positions
    self.missing = missing
  }

  /// Rows that are asked for: bits set in `missing`.
  public var rows: Int { missing.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// What is answered: their bytes follow, in the order of their positions.
  public var reply: BulkReply { .rows(step: version.step, block: block, first: positions.lowerBound) }
}
