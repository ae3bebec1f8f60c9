import Durability
import MemoryBank
import Numerics
import TestSupport
import Testing

@Suite("A run's rows are read from its own files, and from shards' directories where they went")
struct StoredRowsTests {
  private let storage: SimulatedStorage
  private static let first = Digest(high: 7, low: 0)
  private static let second = Digest(high: 7, low: 1)

  /// A run of 36 rows whose extents 0, 2 and 3 are on shards: 0 and 3 on the first alone, 2 on both.
  init() throws {
    storage = try newStorage()
    let store = try RowStore(
      storage: storage, directory: "run/memory", layout: layout(), window: MemoryWindow(size: 64, rows: 0),
      digest: MemoryDigest(), cacheBytes: 0)
    try store.append(rows(0..<36))
    try store.flush()
    for (directory, extents) in [("first", [0, 2, 3]), ("second", [2])] {
      let shard = try ExtentStore(storage: storage, directory: directory, layout: layout())
      for index in extents {
        let writer = try shard.begin(store.sealed[index])
        try writer.append(records: store.records(extent: index, first: 0, count: 8))
        try writer.seal()
      }
    }
    try store.record(
      holders: [0: [Self.first], 2: [Self.first, Self.second], 3: [Self.first]],
      shards: [Self.first: ExtentLedger.Shard(name: "big")])
    try store.release([0, 2, 3])
  }

  private func stored(_ shards: String...) throws -> StoredRows {
    try StoredRows(in: "run/memory", shards: shards, layout: layout(), storage: storage)
  }

  private func read(_ stored: StoredRows, _ number: Int) throws -> [Float] {
    let row = FloatBuffer(count: width).matrix(rows: 1, columns: width)
    #expect(try stored.read(number..<number + 1, into: row) == 1)
    return row.array
  }

  /// Turns a bit of a file.
  private func damage(_ path: String, at offset: Int) throws {
    let file = try storage.open(path, .updating)
    var byte: [UInt8] = [0]
    try byte.withUnsafeMutableBytes { try file.read(at: offset, into: $0) }
    byte[0] ^= 1
    try byte.withUnsafeBytes { try file.write($0, at: offset) }
  }

  @Test func rowsComeFromWhereverTheyAre() throws {
    let stored = try stored("second", "first")
    try stored.find(0..<36)
    for number in 0..<36 { #expect(try read(stored, number) == rows(number..<number + 1).array) }
  }

  @Test func allThatIsMissingIsSaidWithWhoHasIt() throws {
    let error = MemoryBankError.rowsInShards(
      searched: ["run/memory", "second"], rows: [0..<8, 24..<32], shards: ["'big' (\(Self.first))"])
    #expect(throws: error) { try stored("second").find([3, 9, 17, 30]) }
    #expect(
      error.description
        == "rows 0 to 7, 24 to 31 are not in run/memory, second: the run has them on memory shards 'big' "
        + "(\(Self.first)). Give the directory of each with --shard.")
    let neighbours = MemoryBankError.rowsInShards(
      searched: ["run/memory"], rows: [0..<8, 16..<32], shards: ["'big' (\(Self.first))", "\(Self.second)"].sorted())
    #expect(throws: neighbours) { try stored().find(0..<36) }
    #expect(throws: MemoryBankError.self) { try read(stored(), 2) }
  }

  @Test func aDamagedCopyIsPassedOver() throws {
    let row = 64 + 5 * layout().recordSize
    try damage("first/rows-000000000016", at: row)
    #expect(try read(stored("first", "second"), 21) == rows(21..<22).array)
    #expect(throws: MemoryBankError.damagedRow(file: "first/rows-000000000016", row: 21)) {
      try read(stored("first"), 21)
    }
    try damage("first/rows-000000000016", at: 20)
    #expect(try read(stored("first", "second"), 22) == rows(22..<23).array)
  }

  @Test func rowsOfAnotherCourseOfTheRunAreNotTaken() throws {
    let other = try RowStore(
      storage: storage, directory: "other", layout: layout(), window: MemoryWindow(size: 64, rows: 0),
      digest: MemoryDigest(), cacheBytes: 0)
    try other.append(rows(0..<8, shift: 50))
    try other.flush()
    let shard = try ExtentStore(storage: storage, directory: "stale", layout: layout())
    let writer = try shard.begin(other.sealed[0])
    try writer.append(records: other.records(extent: 0, first: 0, count: 8))
    try writer.seal()
    #expect(throws: MemoryBankError.self) { try stored("stale").find([2]) }
    #expect(try read(stored("stale", "first"), 2) == rows(2..<3).array)
  }
}
