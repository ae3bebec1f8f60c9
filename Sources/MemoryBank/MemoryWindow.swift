/// Which row is in which slot of the memory at one step.
///
/// Rows are numbered in the order of their enqueueing. The memory of a step is the last `size` rows; slot s holds the
/// newest of them whose number is s modulo `size`. Rows below `floor` were never enqueued into this memory: they are
/// computed from their number (`SeededRows`), those below 0 of a young run among them.
public struct MemoryWindow: Hashable, Sendable {
  /// K: slots, and rows in them.
  public let size: Int
  /// Rows enqueued before the step: the number that the next row will have.
  public let rows: Int
  /// Rows from here on are stored; 0 unless `memory_size` grew in the run.
  public let floor: Int

  public init(size: Int, rows: Int, floor: Int = 0) {
    self.size = size
    self.rows = rows
    self.floor = floor
  }

  /// The numbers of its rows; negative ones in a young run.
  public var numbers: Range<Int> { (rows - size)..<rows }

  /// The numbers of its rows that are stored, not computed.
  public var stored: Range<Int> { min(max(rows - size, floor), rows)..<rows }

  /// The row in a slot, 0..<size.
  public func row(inSlot slot: Int) -> Int { rows - 1 - Self.slot(of: rows - 1 - slot, size: size) }

  /// The rows in many slots, in their order: several times faster than one by one.
  public func rows(inSlots slots: [Int]) -> [Int] {
    // The newest row's slot parts the window's latest round from the one before.
    let newest = Self.slot(of: rows - 1, size: size)
    let round = rows - 1 - newest
    return slots.map { $0 <= newest ? round + $0 : round + $0 - size }
  }

  public func isSeeded(_ row: Int) -> Bool { row < floor }

  /// The slot of a row in a memory of `size` rows: its number modulo `size`, never negative.
  public static func slot(of row: Int, size: Int) -> Int {
    let remainder = row % size
    return remainder < 0 ? remainder + size : remainder
  }
}
