import Durability
import Numerics

/// The rows in a run's files, only read: the run may be another process's, and go on meanwhile. Owned by one thread.
public final class StoredRows {
  private let directory: String
  private let layout: ExtentLayout
  private let storage: any Storage
  /// By extent.
  private var files: [Int: any StorageFile] = [:]

  /// - Parameters:
  ///   - directory: of the run's memory.
  ///   - layout: of the run's extents.
  public init(in directory: String, layout: ExtentLayout, storage: any Storage) {
    self.directory = directory
    self.storage = storage
    self.layout = layout
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
    let records = try layout.records(in: file, from: numbers.lowerBound, count: count)
    records.withUnsafeBytes { bytes in
      layout.forEachRecord(in: bytes, from: 0) { row, record in
        layout.rowType.load(layout.row(of: record), into: rows.row(at: row))
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
