import MemoryBank
import Numerics
import Testing

@Suite("A step's blocks are the memory's slots in a keyed order, and slots hold the newest rows")
struct BlockPlanTests {
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
      let plan = BlockPlan(
        window: window, blockSize: blockSize, blocksPerStep: size / blockSize, seed: 7, step: step)
      let places = (0..<plan.blockCount).flatMap { block in (0..<blockSize).map { (block, $0) } }
      #expect(Set(places.map { plan.slot(block: $0.0, position: $0.1) }) == Set(0..<size))
      #expect(Set(places.map { plan.row(block: $0.0, position: $0.1) }) == Set(window.numbers))
    }
  }

  @Test func fewerBlocksAreTheFirstOnesAndStepsDiffer() {
    let window = MemoryWindow(size: 64, rows: 100)
    func rows(_ blocks: Int, step: Int) -> [Int] {
      let plan = BlockPlan(window: window, blockSize: 8, blocksPerStep: blocks, seed: 1, step: step)
      return (0..<8).map { plan.row(block: 1, position: $0) }
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
