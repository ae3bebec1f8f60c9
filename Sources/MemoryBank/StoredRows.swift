import Durability
import Numerics

/// The rows in a run's files, only read: the run may be another process's, and go on meanwhile. Owned by one thread.
public final class StoredRows {
  private let directory: String
  private let layout: ExtentLayout
  private let storage: any Storage
  /// By extent.
  private var files: [Int: any StorageFile] = [:]
  private var records: [UInt8] = []

  /// - Parameters:
  ///   - directory: of the run's memory.
  ///   - run: the run's identity, which is in every file's header.
  ///   - width: floats a row.
  ///   - rowsPerExtent: as the store has it that wrote them.
  public init(in directory: String, of run: Digest, width: Int, storage: any Storage, rowsPerExtent: Int? = nil) {
    self.directory = directory
    self.storage = storage
    layout = ExtentLayout(run: run, width: width, capacity: rowsPerExtent ?? RowStore.rowsPerExtent(width: width))
  }

  /// Copies consecutive rows, as many as are in one file, into the first rows of a matrix `[any, width]`.
  ///
  /// - Parameter numbers: of the rows, at least one, all below the rows of a checkpoint of the run.
  /// - Returns: how many were copied, from the first on.
  /// - Throws: `MemoryBankError` if their file is missing, damaged or another run's; `DurabilityError`.
  public func read(_ numbers: Range<Int>, into rows: Matrix) throws -> Int {
    let index = layout.index(of: numbers.lowerBound)
    let file = try file(index)
    let count = min(min(numbers.count, rows.rows), layout.rows(of: index).upperBound - numbers.lowerBound)
    if records.count < count * layout.recordSize {
      records = [UInt8](repeating: 0, count: count * layout.recordSize)
    }
    try records.withUnsafeMutableBytes { records in
      let records = UnsafeMutableRawBufferPointer(rebasing: records[..<(count * layout.recordSize)])
      try file.read(at: layout.offset(of: numbers.lowerBound), into: records)
      for row in 0..<count {
        let record = UnsafeRawBufferPointer(
          rebasing: records[(row * layout.recordSize)..<((row + 1) * layout.recordSize)])
        let number = numbers.lowerBound + row
        guard rows.withMutableBytes(ofRow: row, { layout.read(record, number: number, into: $0) }) else {
          throw MemoryBankError.damagedRow(file: file.path, row: number)
        }
      }
    }
    return count
  }

  private func file(_ index: Int) throws -> any StorageFile {
    if let file = files[index] { return file }
    let path = "\(directory)/\(layout.name(of: index))"
    guard try storage.exists(path) else {
      throw MemoryBankError.missingExtent(file: path, rows: layout.rows(of: index))
    }
    let file = try storage.open(path, .reading)
    try layout.check(headerOf: file, index: index)
    if files.count >= RowStore.openFilesAtMost { files.removeAll() }
    files[index] = file
    return file
  }
}
