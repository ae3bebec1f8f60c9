import Numerics

/// Which slots of a memory have been chosen: one bit a slot, for up to 65,536 slots, evenly spread over a larger memory.
///
/// A memory may have 2^40 slots, a mark for each of which would be 128 GiB. Of a larger one every `stride`-th slot is
/// watched, `stride` the least with which that is at most `watchedAtMost`: pictures come to slots in the epoch's random
/// order, so these are as good as any, and a share of them is off by 0.2 % as a rule.
public struct SlotMarks: Hashable, Sendable {
  /// 8 KiB of marks, whatever the memory's size.
  public static let watchedAtMost = 65_536

  /// K: slots in the memory.
  public let size: Int
  /// Watched are 0, `stride`, 2 `stride`, ...
  public let stride: Int
  /// Bit i of byte i / 8, lowest bit first: whether slot i * `stride` is marked. Bits past the last are zero.
  public private(set) var bytes: [UInt8]

  /// No slot is marked.
  public init(size: Int) {
    invariant(size > 0)
    self.size = size
    stride = (size - 1) / Self.watchedAtMost + 1
    bytes = Array(repeating: 0, count: (Self.watched(of: size) + 7) / 8)
  }

  /// How many slots of a memory are watched.
  public static func watched(of size: Int) -> Int {
    let stride = (size - 1) / watchedAtMost + 1
    return (size - 1) / stride + 1
  }

  /// Marks a slot, if it is watched.
  public mutating func mark(_ slot: Int) {
    invariant(slot >= 0 && slot < size)
    guard slot % stride == 0 else { return }
    bytes[slot / stride / 8] |= 1 << UInt8(slot / stride % 8)
  }

  /// Marks what another one of the same memory has marked.
  public mutating func formUnion(_ other: [UInt8]) {
    invariant(other.count == bytes.count)
    for index in bytes.indices { bytes[index] |= other[index] }
  }

  /// Takes the marks off the slots of new rows.
  public mutating func clear(slotsOf rows: Range<Int>) {
    for row in rows.suffix(size) {
      let slot = MemoryWindow.slot(of: row, size: size)
      if slot % stride == 0 { bytes[slot / stride / 8] &= ~(1 << UInt8(slot / stride % 8)) }
    }
  }

  /// Marked ones of those watched, 0...1.
  public var share: Double {
    Double(bytes.reduce(0) { $0 + $1.nonzeroBitCount }) / Double(Self.watched(of: size))
  }
}
