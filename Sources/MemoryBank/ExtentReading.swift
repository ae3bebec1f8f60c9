import Durability
import Numerics

extension ExtentLayout {
  /// Bytes of consecutive records that are read from a file at once, where rows are asked for in a row.
  static let readTogether = 256 << 10

  /// Copies rows out of files, as they are stored and in the order given: consecutive ones are read together.
  ///
  /// - Parameters:
  ///   - wanted: a row's place in `target`, its number and the file that holds it.
  ///   - target: room for all rows that were asked for, `rowSize` bytes each.
  /// - Throws: `MemoryBankError.damagedRow`; `DurabilityError`.
  func read(
    _ wanted: [(place: Int, number: Int, file: any StorageFile)], into target: UnsafeMutableRawBufferPointer
  ) throws {
    let together = max(1, Self.readTogether / recordSize)
    try withUnsafeTemporaryAllocation(
      byteCount: min(together, max(1, wanted.count)) * recordSize, alignment: 64
    ) { scratch in
      var start = 0
      while start < wanted.count {
        let first = wanted[start]
        var end = start + 1
        while end < wanted.count, end - start < together, wanted[end].file === first.file,
          wanted[end].number == first.number + (end - start)
        {
          end += 1
        }
        let records = UnsafeMutableRawBufferPointer(rebasing: scratch[..<((end - start) * recordSize)])
        try first.file.read(at: offset(of: first.number), into: records)
        var index = start
        try forEachRecord(in: UnsafeRawBufferPointer(records), from: first.number) { number, record in
          guard isWhole(record, number: number) else {
            throw MemoryBankError.damagedRow(file: first.file.path, row: number)
          }
          let place = wanted[index].place * rowSize
          UnsafeMutableRawBufferPointer(rebasing: target[place..<(place + rowSize)])
            .copyMemory(from: row(of: record))
          index += 1
        }
        start = end
      }
    }
  }
}
