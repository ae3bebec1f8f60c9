import Durability
import Numerics

/// The rows in a run's files, and in its memory shards' directories, only read: all of them may be other processes', and
/// go on meanwhile. Owned by one thread.
///
/// A shard's file has its name only once it is whole and durable, and never changes. Whether it is the one that the run's
/// ledger names is seen from its header; rows have their checksums, so that where one copy is damaged the next is read.
public final class StoredRows {
  private let directory: String
  private let shards: [String]
  private let layout: ExtentLayout
  private let storage: any Storage
  private let ledger: ExtentLedger
  /// By extent: the copies of it.
  private var files: [Int: [any StorageFile]] = [:]

  /// - Parameters:
  ///   - directory: of the run's memory.
  ///   - shards: directories of its memory shards.
  ///   - layout: of the run's extents.
  /// - Throws: `MemoryBankError` of the ledger; `DurabilityError`.
  public init(in directory: String, shards: [String] = [], layout: ExtentLayout, storage: any Storage) throws {
    self.directory = directory
    self.shards = shards
    self.storage = storage
    self.layout = layout
    ledger = try ExtentLedger(path: "\(directory)/\(RowStore.ledgerName)", run: layout.run, in: storage)
  }

  /// Makes sure that all of these rows can be read, as far as their files' headers tell.
  /// - Throws: `MemoryBankError.rowsInShards` with all that are missing; `.missingExtent` for one that no shard has
  ///   either; `DurabilityError`.
  public func find(_ numbers: some Sequence<Int>) throws {
    try find(extents: Set(numbers.lazy.map { [layout] in layout.index(of: $0) }))
  }

  /// As the other, for consecutive rows.
  public func find(_ numbers: Range<Int>) throws {
    guard let last = numbers.last else { return }
    try find(extents: Set(layout.index(of: numbers.lowerBound)...layout.index(of: last)))
  }

  private func find(extents: Set<Int>) throws {
    let missing = try extents.sorted().filter { try copies(of: $0).isEmpty }
    if !missing.isEmpty { throw absence(of: missing) }
  }

  /// Copies consecutive rows, as many as are in one file, into the first rows of a matrix `[any, width]`.
  ///
  /// - Parameter numbers: of the rows, at least one, all below the rows of a checkpoint of the run.
  /// - Returns: how many were copied, from the first on.
  /// - Throws: `MemoryBankError` if their file is missing, damaged or another run's; `DurabilityError`.
  public func read(_ numbers: Range<Int>, into rows: Matrix) throws -> Int {
    let index = layout.index(of: numbers.lowerBound)
    let count = min(min(numbers.count, rows.rows), layout.rows(of: index).upperBound - numbers.lowerBound)
    let records = try records(of: index, from: numbers.lowerBound, count: count)
    records.withUnsafeBytes { bytes in
      layout.forEachRecord(in: bytes, from: 0) { row, record in
        layout.rowType.load(layout.row(of: record), into: rows.row(at: row))
      }
    }
    return count
  }

  private func records(of index: Int, from number: Int, count: Int) throws -> [UInt8] {
    var failure: (any Error)?
    for file in try copies(of: index) {
      do {
        return try layout.records(in: file, from: number, count: count)
      } catch {
        failure = failure ?? error
      }
    }
    throw failure ?? absence(of: [index])
  }

  /// The run's own file first.
  private func copies(of index: Int) throws -> [any StorageFile] {
    if let known = files[index] { return known }
    var (copies, failure): ([any StorageFile], (any Error)?) = ([], nil)
    let record = ledger[index]?.record
    for place in [directory] + shards {
      let path = "\(place)/\(layout.name(of: index))"
      guard try storage.exists(path) else { continue }
      do {
        let file = try storage.open(path, .reading)
        let mark = try layout.check(headerOf: file, index: index)
        // A shard may have rows of another course of the run, which it is told to remove when it joins.
        if place == directory || mark == record?.mark { copies.append(file) }
      } catch {
        failure = failure ?? error
      }
    }
    if copies.isEmpty, let failure { throw failure }
    if files.count >= RowStore.openFilesAtMost { files.removeAll() }
    files[index] = copies
    return copies
  }

  /// - Parameter extents: at least one, in order.
  private func absence(of extents: [Int]) -> MemoryBankError {
    if let gone = extents.first(where: { ledger[$0]?.holders.isEmpty ?? true }) {
      return .missingExtent(file: "\(directory)/\(layout.name(of: gone))", rows: layout.rows(of: gone))
    }
    var rows: [Range<Int>] = []
    for extent in extents.map(layout.rows(of:)) {
      if rows.last?.upperBound == extent.lowerBound {
        rows[rows.count - 1] = rows[rows.count - 1].lowerBound..<extent.upperBound
      } else {
        rows.append(extent)
      }
    }
    let holders = Set(extents.flatMap { ledger[$0]?.holders ?? [] }).map(ledger.words)
    return .rowsInShards(searched: [directory] + shards, rows: rows, shards: holders.sorted())
  }
}
