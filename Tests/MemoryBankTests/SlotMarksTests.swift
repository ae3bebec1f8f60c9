import MemoryBank
import Testing

@Suite("Marks of slots are exact for a small memory, a sample for a large one, and gone with the row")
struct SlotMarksTests {
  @Test(arguments: [1, 7, 8, 100, 65_536, 65_537, 200_000]) func marksAndNewRowsAreThoseOfASet(size: Int) {
    var marks = SlotMarks(size: size)
    let watched = (0..<size).filter { $0 % marks.stride == 0 }
    #expect(watched.count == SlotMarks.watched(of: size) && watched.count <= 65_536)
    #expect(size > 65_536 || watched.count == size)
    var expected: Set<Int> = []
    for slot in stride(from: 0, to: size, by: 3) {
      marks.mark(slot)
      if slot % marks.stride == 0 { expected.insert(slot) }
    }
    #expect(abs(marks.share - Double(expected.count) / Double(watched.count)) < 1e-12)
    // Rows that go round the ring, and one negative.
    for rows in [-1..<0, size - 2..<size + 3] {
      marks.clear(slotsOf: rows)
      for row in rows { expected.remove(MemoryWindow.slot(of: row, size: size)) }
    }
    #expect(abs(marks.share - Double(expected.count) / Double(watched.count)) < 1e-12)
  }

  @Test func aMemoryOfABillionBillionRowsIsWatchedInEightKibibytes() {
    for size in [1 << 20, 1 << 40, 1 << 60] {
      var marks = SlotMarks(size: size)
      marks.mark(size - 1)
      marks.mark(0)
      #expect(marks.bytes.count <= 8192 && marks.share == 1 / 65_536)
      marks.clear(slotsOf: size..<size + 1)
      #expect(marks.share == 0)
    }
  }

  @Test func aUnionHasTheMarksOfBoth() {
    var (left, right) = (SlotMarks(size: 9), SlotMarks(size: 9))
    left.mark(1)
    right.mark(8)
    left.formUnion(right.bytes)
    #expect(left.bytes == [2, 1])
  }
}
