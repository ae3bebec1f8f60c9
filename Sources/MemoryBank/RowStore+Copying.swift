import Durability
import Numerics

extension RowStore {
  /// Rows copied together: a few megabytes.
  private static let copiedTogether = 4_096

  /// Appends rows of another run's memory, read from its files without changing them; its run may go on meanwhile.
  ///
  /// - Parameters:
  ///   - numbers: the other run's rows; they keep their numbers, so they begin where this store ends.
  ///   - directory: of the other run's memory.
  ///   - run: the other run's identity.
  /// - Throws: `MemoryBankError` if a file is missing, damaged or another run's; `DurabilityError`.
  public func append(rows numbers: Range<Int>, from directory: String, of run: Digest) throws {
    invariant(numbers.lowerBound == rows || numbers.isEmpty, "rows from \(numbers.lowerBound) on, after \(rows)")
    let other = ExtentLayout(run: run, width: layout.width, capacity: Self.rowsPerExtent(width: layout.width))
    let buffer = FloatBuffer(count: Self.copiedTogether * layout.width)
    var number = numbers.lowerBound
    while number < numbers.upperBound {
      let index = other.index(of: number)
      let path = "\(directory)/\(other.name(of: index))"
      guard try storage.exists(path) else {
        throw MemoryBankError.missingExtent(file: path, rows: other.rows(of: index))
      }
      let file = try storage.open(path, .reading)
      try other.check(headerOf: file, index: index)
      let count = min(Self.copiedTogether, min(numbers.upperBound, other.rows(of: index).upperBound) - number)
      let rows = buffer.matrix(rows: count, columns: layout.width)
      var records = [UInt8](repeating: 0, count: count * other.recordSize)
      try records.withUnsafeMutableBytes { records in
        try file.read(at: other.offset(of: number), into: records)
        for row in 0..<count {
          let record = UnsafeRawBufferPointer(
            rebasing: records[(row * other.recordSize)..<((row + 1) * other.recordSize)])
          guard rows.withMutableBytes(ofRow: row, { other.read(record, number: number + row, into: $0) }) else {
            throw MemoryBankError.damagedRow(file: path, row: number + row)
          }
        }
      }
      try append(rows)
      number += count
    }
  }
}
