import Numerics

/// A worker's rows: those that it has received, by number, so that only rows never seen cross the wire.
///
/// Within an incarnation a row of a number never changes, so what is here is never stale. With room for the whole
/// memory a row's place is its slot, and it stays until the row that follows it in the slot comes; with less, the row
/// that came first goes first. Seeded rows are computed when asked for, and kept only where every slot has a place.
///
///     let missing = cache.gather(plan, block: b, positions: 0..<plan.blockSize, into: block)
///     // ask for the rows whose bits are set, then
///     cache.insert(received, missing, of: plan, block: b, positions: 0..<plan.blockSize, into: block)
///
/// Not thread-safe: one thread owns it and fills block matrices, which the computing threads then only read.
public final class RowCache {
  /// Rows that there is room for.
  public let capacity: Int
  private let memorySize: Int
  private let seeded: SeededRows
  private let rows: Matrix
  /// The number of the row in each place.
  private var numbers: [Int?]
  /// Where each row is, if there are fewer places than slots; empty else.
  private var places: [Int: Int] = [:]
  /// The place that the next row takes, if there are fewer places than slots.
  private var nextPlace = 0

  /// - Parameters:
  ///   - memorySize: K; with another K, make another cache.
  ///   - capacity: rows to have room for; more than K are of no use.
  public init(memorySize: Int, capacity: Int, seeded: SeededRows) {
    invariant(memorySize > 0 && capacity > 0, "a cache of \(capacity) rows for \(memorySize)")
    self.memorySize = memorySize
    self.capacity = min(capacity, memorySize)
    self.seeded = seeded
    rows = FloatBuffer(count: self.capacity * seeded.width).matrix(rows: self.capacity, columns: seeded.width)
    numbers = Array(repeating: nil, count: self.capacity)
  }

  private var holdsAll: Bool { capacity == memorySize }
}

// MARK: - Use

extension RowCache {
  /// Which of a block's rows must be fetched: bit i % 8 of byte i / 8 is for position `positions.lowerBound + i`.
  public func missing(_ plan: BlockPlan, block: Int, positions: Range<Int>) -> [UInt8] {
    var missing = [UInt8](repeating: 0, count: (positions.count + 7) / 8)
    for (index, position) in positions.enumerated() {
      let row = plan.row(block: block, position: position)
      if !plan.window.isSeeded(row) && place(of: row) == nil { missing[index / 8] |= 1 << UInt8(index % 8) }
    }
    return missing
  }

  /// Copies those of a block's rows that are here, or that can be computed, into the matrix.
  /// - Parameter matrix: the whole block, `[blockSize, width]`; other positions are not touched.
  /// - Returns: the rows that are not here, as `missing` does.
  public func gather(_ plan: BlockPlan, block: Int, positions: Range<Int>, into matrix: Matrix) -> [UInt8] {
    invariant(matrix.rows == plan.blockSize && matrix.columns == seeded.width)
    var missing = [UInt8](repeating: 0, count: (positions.count + 7) / 8)
    for (index, position) in positions.enumerated() {
      let row = plan.row(block: block, position: position)
      if let place = place(of: row) {
        copy(rows.row(at: place), into: matrix, at: position)
      } else if plan.window.isSeeded(row) {
        seeded.write(row: row, into: matrix.row(at: position))
        if holdsAll { keep(matrix.row(at: position), row) }
      } else {
        missing[index / 8] |= 1 << UInt8(index % 8)
      }
    }
    return missing
  }

  /// Takes the rows that were missing, in the order of their positions, into the cache and into the block.
  /// - Parameters:
  ///   - received: `[number of bits set in missing, width]`.
  ///   - missing: as `gather` returned it for the same positions.
  public func insert(
    _ received: Matrix, _ missing: [UInt8], of plan: BlockPlan, block: Int, positions: Range<Int>, into matrix: Matrix
  ) {
    invariant(received.columns == seeded.width && matrix.rows == plan.blockSize && matrix.columns == seeded.width)
    invariant(received.rows == missing.reduce(0) { $0 + $1.nonzeroBitCount }, "\(received.rows) rows received")
    var next = 0
    for (index, position) in positions.enumerated() where missing[index / 8] >> UInt8(index % 8) & 1 == 1 {
      copy(received.row(at: next), into: matrix, at: position)
      keep(received.row(at: next), plan.row(block: block, position: position))
      next += 1
    }
  }

  /// Forgets what a new incarnation may have otherwise: rows from `rows` on are enqueued again, and stored rows below
  /// `floor` are now seeded.
  public func restart(rows: Int, floor: Int) {
    for place in 0..<capacity {
      guard let number = numbers[place], number >= rows || (0..<max(floor, 0)).contains(number) else { continue }
      numbers[place] = nil
      places[number] = nil
    }
  }
}

// MARK: - Places

extension RowCache {
  private func place(of row: Int) -> Int? {
    guard holdsAll else { return places[row] }
    let slot = MemoryWindow.slot(of: row, size: memorySize)
    return numbers[slot] == row ? slot : nil
  }

  private func keep(_ vector: Vector, _ row: Int) {
    let place: Int
    if holdsAll {
      place = MemoryWindow.slot(of: row, size: memorySize)
    } else {
      // Two answers may bring the same row; it needs one place.
      guard places[row] == nil else { return }
      place = nextPlace
      nextPlace = (nextPlace + 1) % capacity
      if let old = numbers[place] { places[old] = nil }
      places[row] = place
    }
    numbers[place] = row
    copy(vector, into: rows, at: place)
  }

  private func copy(_ vector: Vector, into matrix: Matrix, at row: Int) {
    matrix.withMutableBytes(ofRow: row) { target in
      vector.buffer.withBytes(of: vector.offset..<(vector.offset + vector.count)) { target.copyMemory(from: $0) }
    }
  }
}
