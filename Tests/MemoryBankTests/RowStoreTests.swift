import Durability
import Foundation
import MemoryBank
import Numerics
import TestSupport
import Testing

private let width = 3
private let run = Digest(high: 1, low: 2)

/// Row r is (r, r + 0.25, r + 0.5), shifted where a test wants other rows of the same numbers.
private func rows(_ numbers: Range<Int>, shift: Float = 0) -> Matrix {
  FloatBuffer(numbers.flatMap { row in (0..<width).map { Float(row) + Float($0) / 4 + shift } })
    .matrix(rows: numbers.count, columns: width)
}

private func store(
  _ storage: any Storage, size: Int = 16, rows: Int = 0, floor: Int = 0, digest: MemoryDigest = MemoryDigest(),
  cachedRows: Int = 0, run: Digest = run
) throws -> RowStore {
  try RowStore(
    storage: storage, directory: "run/memory", run: run, width: width,
    window: MemoryWindow(size: size, rows: rows, floor: floor), digest: digest, cacheBytes: cachedRows * width * 4,
    rowsPerExtent: 8)
}

private func read(_ store: RowStore, _ numbers: [Int]) throws -> [Float] {
  let matrix = FloatBuffer(count: numbers.count * width).matrix(rows: numbers.count, columns: width)
  try store.read(numbers, into: matrix)
  return matrix.array
}

private func newStorage() throws -> SimulatedStorage {
  let storage = SimulatedStorage()
  try storage.makeDurableDirectory("run")
  return storage
}

@Suite("Rows are read back as they were appended, from RAM and from extents")
struct RowStoreTests {
  @Test(arguments: [0, 1, 5, 16])
  func rowsAcrossExtentsAreReadBack(cachedRows: Int) throws {
    let store = try store(newStorage(), cachedRows: cachedRows)
    var next = 0
    for count in [1, 7, 8, 3, 20, 1] {
      try store.append(rows(next..<(next + count)))
      next += count
    }
    #expect(store.rows == 40)
    #expect(try read(store, Array(0..<40)) == rows(0..<40).array)
    #expect(try read(store, [39, 0, 16, 15, 39]) == [39, 0, 16, 15, 39].flatMap { rows($0..<($0 + 1)).array })
  }

  @Test func realFilesHoldRowsToo() throws {
    try withTemporaryDirectory { root in
      func open(rows: Int, _ digest: MemoryDigest) throws -> RowStore {
        try RowStore(
          storage: FileStorage(), directory: "\(root)/memory", run: run, width: width,
          window: MemoryWindow(size: 16, rows: rows), digest: digest, cacheBytes: 60, rowsPerExtent: 8)
      }
      let first = try open(rows: 0, MemoryDigest())
      try first.append(rows(0..<21))
      try first.flush()
      let second = try open(rows: 21, first.digest)
      #expect(try read(second, Array(0..<21)) == rows(0..<21).array)
    }
  }

  @Test func reopenedAtRItForgetsLaterRowsAndOverwritesThem() throws {
    let storage = try newStorage()
    let first = try store(storage)
    try first.append(rows(0..<13))
    let digest = first.digest
    try first.append(rows(13..<30))
    try first.flush()
    storage.restart()

    let second = try store(storage, rows: 13, digest: digest, cachedRows: 16)
    #expect(try read(second, Array(0..<13)) == rows(0..<13).array)
    #expect(throws: MemoryBankError.notHeld(row: 13, held: 0..<13)) { try read(second, [13]) }
    try second.append(rows(13..<30, shift: 100))
    #expect(try read(second, Array(13..<30)) == rows(13..<30, shift: 100).array)
    #expect(second.digest != first.digest)
  }

  @Test func theDigestDoesNotDependOnHowRowsWereBatched() throws {
    var (whole, parts) = (MemoryDigest(), MemoryDigest())
    whole.append(rows(0..<10))
    parts.append(rows(0..<4))
    parts = MemoryDigest(resuming: parts.state)
    parts.append(rows(4..<10))
    #expect(whole == parts)
    var other = MemoryDigest()
    other.append(rows(0..<10, shift: 0.125))
    #expect(whole != other)
  }

  @Test func pruningRemovesWholeExtentsOnly() throws {
    let storage = try newStorage()
    let store = try store(storage)
    try store.append(rows(0..<30))
    try store.prune(below: 15)
    #expect(try storage.list("run/memory") == ["rows-000000000008", "rows-000000000016", "rows-000000000024"])
    #expect(throws: MemoryBankError.notHeld(row: 7, held: 8..<30)) { try read(store, [7]) }
    #expect(try read(store, Array(8..<30)) == rows(8..<30).array)
    try store.flush()
    // Rows 14 and up are the window: the pruned ones are not missed.
    _ = try self.reopen(storage, rows: 30)
  }

  private func reopen(_ storage: SimulatedStorage, rows: Int) throws -> RowStore {
    try store(storage, rows: rows, cachedRows: 16)
  }

  @Test func aFullDiskAppendsNothingAndLaterGoesOn() throws {
    let storage = try newStorage()
    storage.setCapacity(64 + 8 * 20)
    let store = try store(storage)
    try store.append(rows(0..<6))
    let error = #expect(throws: DurabilityError.self) { try store.append(rows(6..<12)) }
    #expect(error?.isOutOfSpace == true)
    #expect(store.rows == 6)
    storage.setCapacity(1 << 20)
    try store.append(rows(6..<12))
    #expect(try read(store, Array(0..<12)) == rows(0..<12).array)
  }

  @Test func flushedRowsSurviveAPowerCutAtAnyLaterCall() throws {
    for cut in 0..<25 {
      for seed in 0..<8 as Range<UInt64> {
        let storage = try newStorage()
        let first = try store(storage)
        try first.append(rows(0..<13))
        try first.flush()
        let digest = first.digest
        storage.cutPower(after: cut)
        // The rest of an extent, more extents, pruning: none may touch rows 0..<13 that the window needs.
        try? first.append(rows(13..<30, shift: 50))
        try? first.flush()
        storage.restart(cuttingPower: seed)
        let second = try store(storage, rows: 13, digest: digest, cachedRows: 16)
        #expect(try read(second, Array(0..<13)) == rows(0..<13).array, "cut \(cut), seed \(seed)")
        try second.append(rows(13..<30))
        try second.flush()
        storage.restart(cuttingPower: seed)
        let third = try store(storage, rows: 30, cachedRows: 16)
        #expect(try read(third, Array(14..<30)) == rows(14..<30).array, "cut \(cut), seed \(seed)")
      }
    }
  }

  @Test func afterAFailedFlushEveryFlushFails() throws {
    let storage = try newStorage()
    let store = try store(storage)
    try store.append(rows(0..<3))
    storage.failOperation(after: 0)
    #expect(throws: DurabilityError.self) { try store.flush() }
    #expect(throws: MemoryBankError.flushFailedBefore(directory: "run/memory")) { try store.flush() }
  }
}

@Suite("Damage in an extent is found and named")
struct RowDamageTests {
  private static func filled() throws -> SimulatedStorage {
    let storage = try newStorage()
    let store = try store(storage)
    try store.append(rows(0..<20))
    try store.flush()
    return storage
  }

  @Test func everyChangedByteOfARowIsFound() throws {
    let storage = try Self.filled()
    for byte in 0..<20 {
      // Row 10 is the third of the second file.
      try storage.corrupt("run/memory/rows-000000000008", at: 64 + 2 * 20 + byte) { $0 ^ 4 }
      let damage = MemoryBankError.damagedRow(file: "run/memory/rows-000000000008", row: 10)
      #expect(throws: damage) { try read(store(storage, rows: 20), [9, 10, 11]) }
      #expect(throws: damage) { try store(storage, rows: 20, cachedRows: 16) }
      try storage.corrupt("run/memory/rows-000000000008", at: 64 + 2 * 20 + byte) { $0 ^ 4 }
    }
    #expect(try read(store(storage, rows: 20), [10]) == rows(10..<11).array)
  }

  @Test func everyChangedByteOfAHeaderIsFound() throws {
    let storage = try Self.filled()
    for byte in 0..<64 {
      try storage.corrupt("run/memory/rows-000000000008", at: byte) { $0 ^ 1 }
      #expect(throws: MemoryBankError.damagedHeader(file: "run/memory/rows-000000000008")) {
        try store(storage, rows: 20)
      }
      try storage.corrupt("run/memory/rows-000000000008", at: byte) { $0 ^ 1 }
    }
  }

  @Test func anotherRunsRowsAreRefused() throws {
    let storage = try Self.filled()
    let other = Digest(high: 9, low: 9)
    let error = #expect(throws: MemoryBankError.self) { try store(storage, rows: 20, run: other) }
    #expect(
      error
        == .foreignExtent(
          file: "run/memory/rows-000000000000", property: "run", expected: "\(other)", found: "\(run)"))
  }

  @Test func anOlderCheckpointWhoseRowsAreGoneCostsANewerOneNothing() throws {
    let storage = try Self.filled()
    try storage.remove("run/memory/rows-000000000000")
    #expect(throws: MemoryBankError.self) { try store(storage, rows: 8) }
    _ = try store(storage, rows: 20, floor: 8)
  }

  @Test func aMissingExtentIsNamedWithItsRows() throws {
    let storage = try Self.filled()
    try storage.remove("run/memory/rows-000000000008")
    let error = #expect(throws: MemoryBankError.self) { try store(storage, rows: 20) }
    #expect(error == .missingExtent(file: "run/memory/rows-000000000008", rows: 8..<16))
    #expect(error?.description.contains("rows-000000000008 is missing: it holds rows 8 to 15") == true)
    // Below the floor nothing is stored, so nothing is missed.
    _ = try store(storage, rows: 20, floor: 16)
  }
}
