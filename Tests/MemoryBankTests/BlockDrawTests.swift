import MemoryBank
import Numerics
import Testing

@Suite("A step's blocks are the memory's slots in a keyed order, and slots hold the newest rows")
struct BlockDrawTests {
  @Test(arguments: [(1, 0), (5, 0), (5, 3), (5, 5), (5, 17), (8, 1_000_003)])
  func aSlotHoldsTheNewestRowOfItsRemainder(size: Int, rows: Int) {
    let window = MemoryWindow(size: size, rows: rows)
    for slot in 0..<size {
      let newest = (window.numbers).last { (($0 % size) + size) % size == slot }
      #expect(window.row(inSlot: slot) == newest)
      #expect(window.isSeeded(window.row(inSlot: slot)) == (newest! < 0))
    }
    #expect(window.stored == max(0, rows - size)..<rows)
  }

  @Test func rowsBelowTheFloorAreSeededThoughTheirNumbersArePositive() {
    let window = MemoryWindow(size: 10, rows: 12, floor: 6)
    #expect(window.isSeeded(5) && !window.isSeeded(6))
    #expect(window.stored == 6..<12)
    #expect(MemoryWindow(size: 10, rows: 12, floor: 12).stored.isEmpty)
  }

  @Test(arguments: [(16, 4, 11), (96, 32, 96), (1024, 128, 5_000)])
  func allBlocksTogetherCoverEachSlotOnce(size: Int, blockSize: Int, rows: Int) {
    let window = MemoryWindow(size: size, rows: rows)
    for step in 0..<3 {
      let draw = BlockDraw(
        window: window, blockSize: blockSize, blocksPerStep: size / blockSize, seed: 7, step: step)
      let places = (0..<draw.blockCount).flatMap { block in (0..<blockSize).map { (block, $0) } }
      #expect(Set(places.map { draw.slot(block: $0.0, position: $0.1) }) == Set(0..<size))
      #expect(Set(places.map { draw.row(block: $0.0, position: $0.1) }) == Set(window.numbers))
    }
  }

  @Test(arguments: [(16, 8, 11, 4), (96, 32, 96, 1), (1024, 128, 5_000, 16), (96, 48, 7, 3), (64, 64, 0, 1)])
  func manyPositionsAtOnceHaveTheSameRows(size: Int, blockSize: Int, rows: Int, granule: Int) {
    let draw = BlockDraw(
      window: MemoryWindow(size: size, rows: rows), blockSize: blockSize, blocksPerStep: size / blockSize,
      granule: granule, seed: 7, step: 2)
    for block in 0..<draw.blockCount {
      for positions in [Array(0..<blockSize), [3], [5, 4, 4, 0, blockSize - 1], []] {
        #expect(
          draw.rows(block: block, at: positions) == positions.map { draw.row(block: block, position: $0) })
      }
    }
  }

  @Test(arguments: [(16, 8, 11, 4), (96, 32, 96, 2), (1024, 128, 5_000, 16)])
  func granulesAreNeighbouringSlotsDrawnTogether(size: Int, blockSize: Int, rows: Int, granule: Int) {
    let window = MemoryWindow(size: size, rows: rows)
    let draw = BlockDraw(
      window: window, blockSize: blockSize, blocksPerStep: size / blockSize, granule: granule, seed: 7, step: 2)
    let slots = (0..<draw.blockCount).flatMap { block in (0..<blockSize).map { draw.slot(block: block, position: $0) } }
    #expect(Set(slots) == Set(0..<size))
    for first in stride(from: 0, to: size, by: granule) {
      #expect(slots[first] % granule == 0)
      #expect(Array(slots[first..<(first + granule)]) == Array(slots[first]..<(slots[first] + granule)))
    }
    // The granules are in the order that slots of a memory of so many would have.
    let coarse = BlockDraw(
      window: MemoryWindow(size: size / granule, rows: 0), blockSize: blockSize / granule,
      blocksPerStep: size / blockSize, seed: 7, step: 2)
    #expect(slots[granule] == granule * coarse.slot(block: 0, position: 1))
  }

  @Test func aMemoryOfATrillionRowsIsDrawnFrom() {
    let window = MemoryWindow(size: 1 << 40, rows: (1 << 41) + 5)
    let draw = BlockDraw(
      window: window, blockSize: 16_384, blocksPerStep: (1 << 40) / 16_384, granule: 16, seed: 1, step: 1 << 40)
    for block in [0, 1, draw.blockCount - 1] {
      for position in [0, 1, 16_383] {
        #expect(window.numbers.contains(draw.row(block: block, position: position)))
      }
    }
  }

  @Test func fewerBlocksAreTheFirstOnesAndStepsDiffer() {
    let window = MemoryWindow(size: 64, rows: 100)
    func rows(_ blocks: Int, step: Int) -> [Int] {
      let draw = BlockDraw(window: window, blockSize: 8, blocksPerStep: blocks, seed: 1, step: step)
      return (0..<8).map { draw.row(block: 1, position: $0) }
    }
    #expect(rows(2, step: 4) == rows(8, step: 4))
    #expect(rows(8, step: 4) != rows(8, step: 5))
  }

  @Test func seededRowsHaveUnitLengthAndFollowFromSeedAndNumber() {
    func row(_ number: Int, seed: UInt64) -> [Float] {
      let buffer = FloatBuffer(count: 33)
      SeededRows(seed: seed, width: 33).write(row: number, into: buffer.vector)
      return buffer.array
    }
    for number in [-1, -2, -1_000_000_007, 5] {
      let length = row(number, seed: 3).reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(abs(length - 1) < 1e-6)
    }
    #expect(row(-1, seed: 3) == row(-1, seed: 3))
    #expect(row(-1, seed: 3) != row(-2, seed: 3))
    #expect(row(-1, seed: 3) != row(-1, seed: 4))
  }
}

@Suite("Seeded rows have the bits of their definition, however they are computed")
struct SeededRowsTests {
  /// One normal number after the other, as they are defined.
  private static func definition(_ row: Int, seed: UInt64, width: Int) -> [Float] {
    var stream = RandomStream(RandomKey(seed: seed, purpose: .seededRow, image: UInt64(bitPattern: Int64(row))))
    let values = (0..<width).map { _ in Float(stream.normal()) }
    let length = max(values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot(), 1e-6)
    return values.map { Float(Double($0) / length) }
  }

  @Test(arguments: [1, 2, 3, 7, 8, 15, 16, 31, 33, 64, 200, 256, 300])
  func bitsAreThoseOfTheDefinition(width: Int) {
    let buffer = FloatBuffer(count: width)
    for seed in [0, 1, UInt64.max] {
      let seeded = SeededRows(seed: seed, width: width)
      for row in Array(-60 ..< -30) + [5, -1_000_000_007, Int.min + 1, 1 << 40] {
        seeded.write(row: row, into: buffer.vector)
        let expected = Self.definition(row, seed: seed, width: width)
        #expect(buffer.array.map(\.bitPattern) == expected.map(\.bitPattern), "row \(row)")
      }
    }
  }

  /// Of the rows of released versions: runs that have them must go on with the same.
  @Test func bitsAreThoseOfOlderVersions() {
    let rows = FloatBuffer(count: 1_000 * 256).matrix(rows: 1_000, columns: 256)
    let seeded = SeededRows(seed: 42, width: 256)
    for row in 0..<1_000 { seeded.write(row: row - 1_000, into: rows.row(at: row)) }
    #expect("\(rows.buffer.digest)" == "e1b4ad5c8cd8d21ecc11ea8c9f3c3ff6")
  }

  @Test func halvesAreRounded() {
    let (single, half) = (FloatBuffer(count: 33), FloatBuffer(count: 33))
    SeededRows(seed: 3, width: 33).write(row: -5, into: single.vector)
    SeededRows(seed: 3, width: 33, rowType: .fp16).write(row: -5, into: half.vector)
    #expect(half.array == single.array.map { Float(Float16($0)) })
    #expect(half.array != single.array)
  }
}
