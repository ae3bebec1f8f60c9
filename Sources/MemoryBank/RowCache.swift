import Numerics

/// A worker's rows: those that it has received, by number, so that only rows never seen cross the wire.
///
/// Within an incarnation a row of a number never changes, so what is here is never stale. With room for the whole
/// memory a row's place is its slot, and it stays until the row that follows it in the slot comes; with less, the row
/// that came first goes first. Seeded rows are computed when asked for, and kept only where every slot has a place.
///
///     let missing = cache.gather(draw, block: b, positions: 0..<draw.blockSize, into: block)
///     // ask for the rows whose bits are set, then
///     cache.insert(received, missing, of: draw, block: b, positions: 0..<draw.blockSize, into: block)
///
/// Rows are kept as they are stored and sent. RAM is taken as rows come, and bookkeeping (at most 24 bytes a row, within
/// the bound) follows from the room, not from the memory's size.
///
/// Not thread-safe: one thread owns it and fills block matrices, which the computing threads then only read.
public final class RowCache {
  /// Rows that there is room for; 0: every row is computed or fetched each time.
  public let capacity: Int
  /// Stored rows that were asked for since it was made, and were here.
  public private(set) var hits = 0
  private let memorySize: Int
  private let seeded: SeededRows
  private let rowSize: Int
  /// Rows as they are stored, a place each.
  private let rows: FloatBuffer?
  /// A row's floats, before a block of bf16 has them.
  private let room: Vector
  /// The number of the row in each place; `nobody` where there is none.
  private var numbers: [Int]
  /// Where each row is, if there are fewer places than slots: place + 1 at the hash of its number or after it, 0 where
  /// there is none; at most half full.
  private var table: [UInt32] = []
  /// The place that the next row takes, if there are fewer places than slots.
  private var nextPlace = 0

  /// No row has this number.
  private static let nobody = Int.min
  /// Bytes a row at most besides its own: a number and two places of the table.
  public static let bookkeeping = 24

  /// - Parameters:
  ///   - memorySize: K; with another K, make another cache.
  ///   - bytes: of RAM at most, bookkeeping included; less than a row takes is none.
  public init(memorySize: Int, bytes: Int, seeded: SeededRows) {
    invariant(memorySize > 0 && bytes >= 0, "a cache of \(bytes) bytes for \(memorySize) rows")
    self.memorySize = memorySize
    self.seeded = seeded
    rowSize = seeded.width * seeded.rowType.bytes
    capacity = Self.capacity(memorySize: memorySize, bytes: bytes, rowSize: rowSize)
    rows = capacity > 0 ? FloatBuffer(count: (capacity * rowSize + 3) / 4) : nil
    room = FloatBuffer(count: seeded.width).vector
    numbers = Array(repeating: Self.nobody, count: capacity)
    if capacity > 0 && !holdsAll { table = Array(repeating: 0, count: 1 << Self.bits(capacity)) }
  }

  /// Rows that there is room for.
  /// - Parameter rowSize: bytes of a row as it is stored.
  public static func capacity(memorySize: Int, bytes: Int, rowSize: Int) -> Int {
    min(memorySize, bytes / (rowSize + bookkeeping), Int(UInt32.max) - 1)
  }

  private var holdsAll: Bool { capacity == memorySize }

  /// Of a table of at least one and a half, and at most three, times as many entries.
  private static func bits(_ capacity: Int) -> Int {
    Int.bitWidth - (capacity + capacity / 2).leadingZeroBitCount
  }
}

// MARK: - Use

extension RowCache {
  /// Copies those of a block's rows that are here, or that can be computed, to where products read them.
  /// - Parameter values: the whole block, `[blockSize, width]`; other positions are not touched.
  /// - Returns: which rows must be fetched: bit i % 8 of byte i / 8 is for position `positions.lowerBound + i`.
  public func gather(_ draw: BlockDraw, block: Int, positions: Range<Int>, into values: Factor) -> [UInt8] {
    invariant(values.rows == draw.blockSize && values.columns == seeded.width)
    var missing = [UInt8](repeating: 0, count: (positions.count + 7) / 8)
    for (index, row) in draw.rows(block: block, at: Array(positions)).enumerated() {
      let position = positions.lowerBound + index
      if let place = place(of: row) {
        if !draw.window.isSeeded(row) { hits += 1 }
        withBytes(ofPlace: place) { bytes in
          values.writeRow(position, room: room) { seeded.rowType.load(UnsafeRawBufferPointer(bytes), into: $0) }
        }
      } else if draw.window.isSeeded(row) {
        let place = holdsAll ? makePlace(for: row) : nil
        values.writeRow(position, room: room) { floats in
          seeded.write(row: row, into: floats)
          if let place { withBytes(ofPlace: place) { seeded.rowType.store(floats, into: $0) } }
        }
      } else {
        missing.setBit(index)
      }
    }
    return missing
  }

  /// Takes the rows that were missing, in the order of their positions, into the cache and into the block.
  /// - Parameters:
  ///   - received: as they are stored, one after the other; as many as there are bits set in missing.
  ///   - missing: as `gather` returned it for the same positions.
  public func insert(
    _ received: UnsafeRawBufferPointer, _ missing: [UInt8], of draw: BlockDraw, block: Int, positions: Range<Int>,
    into values: Factor
  ) {
    invariant(values.rows == draw.blockSize && values.columns == seeded.width)
    invariant(
      received.count == missing.reduce(0) { $0 + $1.nonzeroBitCount } * rowSize, "\(received.count) bytes of rows")
    let wanted = missing.setBits.map { positions.lowerBound + $0 }
    for (index, number) in draw.rows(block: block, at: wanted).enumerated() {
      let row = UnsafeRawBufferPointer(rebasing: received[(index * rowSize)..<((index + 1) * rowSize)])
      values.writeRow(wanted[index], room: room) { seeded.rowType.load(row, into: $0) }
      keep(row, number)
    }
  }

  /// Keeps consecutive rows that came together.
  /// - Parameter received: as they are stored, one after the other; what follows them is not looked at.
  public func insert(_ received: UnsafeRawBufferPointer, numbers: Range<Int>) {
    invariant(received.count >= numbers.count * rowSize, "\(received.count) bytes of \(numbers.count) rows")
    for (index, number) in numbers.enumerated() {
      keep(UnsafeRawBufferPointer(rebasing: received[(index * rowSize)..<((index + 1) * rowSize)]), number)
    }
  }

  /// Forgets what a new incarnation may have otherwise: rows from `rows` on are enqueued again, and stored rows below
  /// `floor` are now seeded.
  public func restart(rows: Int, floor: Int) {
    for place in 0..<capacity {
      let number = numbers[place]
      guard number != Self.nobody, number >= rows || (0..<max(floor, 0)).contains(number) else { continue }
      if !holdsAll { removeEntry(of: number) }
      numbers[place] = Self.nobody
    }
  }
}

// MARK: - Places

extension RowCache {
  private func place(of row: Int) -> Int? {
    if holdsAll {
      let slot = MemoryWindow.slot(of: row, size: memorySize)
      return numbers[slot] == row ? slot : nil
    }
    return capacity == 0 ? nil : entry(of: row).map { Int(table[$0]) - 1 }
  }

  private func keep(_ bytes: UnsafeRawBufferPointer, _ row: Int) {
    // Two answers may bring the same row; it needs one place.
    guard capacity > 0, place(of: row) == nil else { return }
    let place = makePlace(for: row)
    withBytes(ofPlace: place) { $0.copyMemory(from: bytes) }
  }

  private func makePlace(for row: Int) -> Int {
    let place: Int
    if holdsAll {
      place = MemoryWindow.slot(of: row, size: memorySize)
    } else {
      place = nextPlace
      nextPlace = (nextPlace + 1) % capacity
      if numbers[place] != Self.nobody { removeEntry(of: numbers[place]) }
      var index = home(of: row)
      while table[index] != 0 { index = (index + 1) & (table.count - 1) }
      table[index] = UInt32(place + 1)
    }
    numbers[place] = row
    return place
  }

  private func withBytes(ofPlace place: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    guard let rows else { return }
    rows.withMutableBytes(of: 0..<rows.count) {
      body(UnsafeMutableRawBufferPointer(rebasing: $0[(place * rowSize)..<((place + 1) * rowSize)]))
    }
  }
}

// MARK: - The table: open addressing with linear probes

extension RowCache {
  private func home(of row: Int) -> Int {
    let hash = UInt64(bitPattern: Int64(row)) &* 0x9E37_79B9_7F4A_7C15
    return Int(hash >> UInt64(64 - table.count.trailingZeroBitCount))
  }

  private func entry(of row: Int) -> Int? {
    var index = home(of: row)
    while table[index] != 0 {
      if numbers[Int(table[index]) - 1] == row { return index }
      index = (index + 1) & (table.count - 1)
    }
    return nil
  }

  /// Entries after it move up, so that no probe ends too early (Knuth, 6.4, algorithm R). Before its number goes.
  private func removeEntry(of row: Int) {
    guard var hole = entry(of: row) else { return }
    let mask = table.count - 1
    var index = hole
    while true {
      index = (index + 1) & mask
      guard table[index] != 0 else { break }
      let start = home(of: numbers[Int(table[index]) - 1])
      // It may move if its home is not between the hole and it.
      if (index - start) & mask >= (index - hole) & mask {
        table[hole] = table[index]
        hole = index
      }
    }
    table[hole] = 0
  }
}
