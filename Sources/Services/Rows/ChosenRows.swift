import MemoryBank

/// Which of the rows now in memory were ever the nearest to a teacher view, as far as this process has seen.
///
/// A process that resumes a run does not know what was chosen before it, so it has no share to name until all rows are
/// of its own time.
struct ChosenRows {
  private var marks: SlotMarks
  /// Rows yet to come before all rows in memory are of this process's time.
  private var untilKnown: Int

  /// - Parameter rows: enqueued before; a run's first process knows that its seeded rows were never chosen.
  init(memorySize: Int, rows: Int) {
    marks = SlotMarks(size: memorySize)
    untilKnown = rows == 0 ? 0 : memorySize
  }

  /// A step is done: these slots were chosen, and then these rows took the places of older ones.
  mutating func update(_ chosen: [UInt8], newRows: Range<Int>) {
    marks.formUnion(chosen)
    marks.clear(slotsOf: newRows)
    untilKnown = max(0, untilKnown - newRows.count)
  }

  /// 0...1; nil while it is not known.
  var share: Double? { untilKnown == 0 ? marks.share : nil }
}
