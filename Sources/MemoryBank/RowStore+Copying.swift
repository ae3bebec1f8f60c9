import Durability
import Numerics

extension RowStore {
  /// Rows copied together: a few megabytes.
  private static let copiedTogether = 4_096

  /// Appends rows of another run's memory, read from its files without changing them; its run may go on meanwhile.
  ///
  /// - Parameters:
  ///   - numbers: the other run's rows; they keep their numbers, so they begin where this store ends.
  ///   - other: the other run's rows.
  /// - Throws: `MemoryBankError` if a file is missing, damaged or another run's; `DurabilityError`.
  public func append(rows numbers: Range<Int>, from other: StoredRows) throws {
    invariant(numbers.lowerBound == rows || numbers.isEmpty, "rows from \(numbers.lowerBound) on, after \(rows)")
    try other.find(numbers)
    let buffer = FloatBuffer(count: Self.copiedTogether * layout.width)
      .matrix(rows: Self.copiedTogether, columns: layout.width)
    var number = numbers.lowerBound
    while number < numbers.upperBound {
      let count = try other.read(number..<numbers.upperBound, into: buffer)
      try append(buffer.rows(0..<count))
      number += count
    }
  }
}
