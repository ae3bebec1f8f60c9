import MemoryBank
import Numerics
import TestSupport
import Testing

@Suite("A cache's blocks are those computed directly, whatever was cached before")
struct RowCacheTests {
  static let width = 5
  /// Bytes of a row and its bookkeeping.
  static func bytes(_ rows: Int, _ rowType: RowType = .fp32) -> Int { rows * (width * rowType.bytes + 24) }

  /// What an enqueued row of a number holds here: told apart by number and incarnation, a half too.
  private func stored(_ row: Int, _ incarnation: Int) -> [Float] {
    (0..<Self.width).map { Float(row) + Float((3 * $0 + incarnation) % 16) / 16 }
  }

  private func expected(_ row: Int, _ window: MemoryWindow, _ seeded: SeededRows, _ incarnation: [Int: Int]) -> [Float]
  {
    guard window.isSeeded(row) else { return stored(row, incarnation[row]!) }
    let buffer = FloatBuffer(count: Self.width)
    seeded.write(row: row, into: buffer.vector)
    return buffer.array
  }

  @Test(arguments: [0, 1, 7, 23, 24, 100], 0..<20 as Range<UInt64>)
  func gatheredBlocksEqualDirectOnes(capacity: Int, seed: UInt64) {
    let rowType: RowType = seed % 2 == 0 ? .fp32 : .fp16
    let precision: Precision = seed % 4 < 2 ? .fp32 : .bf16
    var random = SplitMix64(seed: seed)
    let seeded = SeededRows(seed: seed, width: Self.width, rowType: rowType)
    let cache = RowCache(memorySize: 24, bytes: Self.bytes(capacity, rowType), seeded: seeded)
    #expect(cache.capacity == min(24, capacity))
    var (rows, floor, incarnation) = (0, 0, 0)
    var writtenIn: [Int: Int] = [:]
    let values = FloatBuffer(count: 8 * Self.width).factor(rows: 8, columns: Self.width, precision: precision)
    for step in 0..<30 {
      let window = MemoryWindow(size: 24, rows: rows, floor: floor)
      let draw = BlockDraw(window: window, blockSize: 8, blocksPerStep: 3, seed: seed, step: step)
      for block in 0..<3 {
        for positions in [0..<3, 3..<8] {
          let missing = cache.gather(draw, block: block, positions: positions, into: values)
          let wanted = positions.enumerated().filter { missing[$0.offset / 8] >> UInt8($0.offset % 8) & 1 == 1 }
            .map { draw.row(block: block, position: $0.element) }
          #expect(wanted.allSatisfy { !window.isSeeded($0) })
          guard !wanted.isEmpty else { continue }
          var received: [UInt8] = []
          for row in wanted {
            var bytes = [UInt8](repeating: 0, count: Self.width * rowType.bytes)
            bytes.withUnsafeMutableBytes { rowType.store(FloatBuffer(stored(row, writtenIn[row]!)).vector, into: $0) }
            received += bytes
          }
          received.withUnsafeBytes {
            cache.insert($0, missing, of: draw, block: block, positions: positions, into: values)
          }
        }
        for position in 0..<8 {
          let row = draw.row(block: block, position: position)
          let floats = FloatBuffer(expected(row, window, seeded, writtenIn)).matrix(rows: 1, columns: Self.width)
          #expect(
            values.rows(position..<(position + 1)).array == floats.rounded(to: precision).array,
            "step \(step), row \(row)")
        }
      }
      for row in rows..<(rows + 4) { writtenIn[row] = incarnation }
      rows += 4
      if random.next() % 3 == 0 {
        // The new ones come together, whether any block needs them or not.
        var received = [UInt8](repeating: 0, count: 4 * Self.width * rowType.bytes)
        received.withUnsafeMutableBytes { received in
          let size = Self.width * rowType.bytes
          for (index, row) in ((rows - 4)..<rows).enumerated() {
            rowType.store(
              FloatBuffer(stored(row, incarnation)).vector,
              into: UnsafeMutableRawBufferPointer(rebasing: received[(index * size)..<((index + 1) * size)]))
          }
        }
        received.withUnsafeBytes { cache.insert($0, numbers: (rows - 4)..<rows) }
      }
      if random.next() % 6 == 0 {
        // A new incarnation goes back a few rows, and sometimes finds some of them seeded.
        incarnation += 1
        rows = max(0, rows - Int(random.next() % 13))
        if random.next() % 2 == 0 { floor = max(floor, rows - 10) }
        cache.restart(rows: rows, floor: floor)
      }
    }
  }

  @Test func withRoomForAllOnlyNewRowsAreMissing() {
    let seeded = SeededRows(seed: 1, width: Self.width)
    let cache = RowCache(memorySize: 16, bytes: Self.bytes(16), seeded: seeded)
    let values = FloatBuffer(count: 16 * Self.width).factor(rows: 16, columns: Self.width, precision: .fp32)
    for step in 0..<10 {
      let draw = BlockDraw(
        window: MemoryWindow(size: 16, rows: step * 3), blockSize: 16, blocksPerStep: 1, seed: 1, step: step)
      let missing = cache.gather(draw, block: 0, positions: 0..<16, into: values)
      let count = missing.reduce(0) { $0 + $1.nonzeroBitCount }
      #expect(count == (step == 0 ? 0 : 3))
      if count > 0 {
        [UInt8](repeating: 0, count: count * Self.width * 4).withUnsafeBytes {
          cache.insert($0, missing, of: draw, block: 0, positions: 0..<16, into: values)
        }
      }
    }
  }
}
