import Durability
import Foundation
import MemoryBank
import Numerics
import TestSupport
import Testing

private func store(
  _ storage: any Storage, size: Int = 16, rows: Int = 0, floor: Int = 0, digest: MemoryDigest = MemoryDigest(),
  cachedRows: Int = 0, run: Digest = run, rowType: RowType = .fp32
) throws -> RowStore {
  try RowStore(
    storage: storage, directory: "run/memory", layout: layout(rowType, run: run),
    window: MemoryWindow(size: size, rows: rows, floor: floor), digest: digest,
    cacheBytes: cachedRows * width * rowType.bytes)
}

private func read(_ store: RowStore, _ numbers: [Int]) throws -> [Float] {
  var bytes = [UInt8](repeating: 0, count: numbers.count * store.layout.rowSize)
  try bytes.withUnsafeMutableBytes { try store.read(numbers, into: $0) }
  return floats(bytes, store.layout.rowType)
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
          storage: FileStorage(), directory: "\(root)/memory", layout: layout(),
          window: MemoryWindow(size: 16, rows: rows), digest: digest, cacheBytes: 60)
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
    #expect(
      try storage.list("run/memory").filter { $0.hasPrefix("rows-") } == [
        "rows-000000000008", "rows-000000000016", "rows-000000000024",
      ])
    #expect(throws: MemoryBankError.notHeld(row: 7, held: 8..<30)) { try read(store, [7]) }
    #expect(try read(store, Array(8..<30)) == rows(8..<30).array)
    try store.flush()
    // Rows 14 and up are the window: the pruned ones are not missed.
    _ = try self.reopen(storage, rows: 30)
  }

  @Test func rowsOfKeptCheckpointsAreNotPruned() throws {
    let storage = try newStorage()
    let store = try store(storage)
    try store.append(rows(0..<40))
    // Files of 8 rows: the second and the third have rows of it.
    try store.prune(below: 35, except: [15..<17])
    #expect(
      try storage.list("run/memory").filter { $0.hasPrefix("rows-") } == [
        "rows-000000000008", "rows-000000000016", "rows-000000000032",
      ])
    #expect(try read(store, [15, 16, 39]) == rows(15..<17).array + rows(39..<40).array)
    // Once no checkpoint needs them they go.
    try store.prune(below: 35)
    #expect(try storage.list("run/memory").filter { $0.hasPrefix("rows-") } == ["rows-000000000032"])
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
        _ = try? first.flush()
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
    #expect(
      throws: MemoryBankError.foreignExtent(
        file: "run/memory/extents.json", property: "run", expected: "\(other)", found: "\(run)")
    ) { try store(storage, rows: 20, run: other) }
    try storage.remove("run/memory/extents.json")
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

@Suite("Whole extents may be with shards instead")
struct ReleasedExtentsTests {
  private let shard = Digest(high: 3, low: 4)

  private func record(_ index: Int, _ rowType: RowType = .fp32) -> ExtentRecord {
    var chain = MemoryDigest()
    if index > 0 { chain.append(rows(0..<(8 * index)), as: rowType) }
    let before = chain.state
    chain.append(rows((8 * index)..<(8 * index + 8)), as: rowType)
    return ExtentRecord(index: index, before: before, after: chain.state)
  }

  @Test(arguments: RowType.allCases)
  func extentsAreRecordedOnceWholeAndFlushed(rowType: RowType) throws {
    let storage = try newStorage()
    let first = try store(storage, rowType: rowType)
    for start in [0, 5, 10, 15] { try first.append(rows(start..<(start + 5))) }
    #expect(first.sealed.isEmpty)
    try first.flush()
    #expect(first.sealed == [record(0, rowType), record(1, rowType)])
    // Opened within an extent, the record before it says where its chain began.
    let second = try store(storage, rows: 20, digest: first.digest, rowType: rowType)
    try second.append(rows(20..<25))
    try second.flush()
    #expect(second.sealed == [0, 1, 2].map { record($0, rowType) })
    #expect(try read(second, Array(0..<25)) == rows(0..<25).array)
    let error = #expect(throws: MemoryBankError.self) { try second.records(extent: 3, first: 0, count: 8) }
    #expect(error == .extentNotHeld(directory: "run/memory", row: 24))
  }

  @Test func aRunFromBeforeTheLedgerRecordsWhatItBeginsAnew() throws {
    let storage = try newStorage()
    let first = try store(storage)
    try first.append(rows(0..<12))
    try first.flush()
    try storage.remove("run/memory/extents.json")
    let second = try store(storage, rows: 12, digest: first.digest)
    try second.append(rows(12..<26))
    try second.flush()
    #expect(second.sealed == [record(2)])
  }

  @Test func recordsPastACheckpointAreForgotten() throws {
    let storage = try newStorage()
    let first = try store(storage)
    try first.append(rows(0..<13))
    let digest = first.digest
    try first.append(rows(13..<30, shift: 50))
    try first.flush()
    try first.record(holders: [0: [shard], 1: [shard]])
    let second = try store(storage, rows: 13, digest: digest)
    #expect(second.sealed == [record(0)])
    #expect(second.holders == [0: [shard]])
    try second.append(rows(13..<30))
    try second.flush()
    #expect(second.holders == [0: [shard], 1: [], 2: []])
    #expect(second.sealed == [0, 1, 2].map { record($0) })
  }

  @Test(arguments: [0, 5, 100]) func aReleasedExtentIsNotMissedAndComesBack(cachedRows: Int) throws {
    let storage = try newStorage()
    let first = try store(storage, size: 64, cachedRows: cachedRows)
    try first.append(rows(0..<30))
    try first.flush()
    let source = try first.records(extent: 1, first: 0, count: 8)
    try first.release([0, 1, 2, 3])
    #expect(first.localExtents == [0, 1, 2, 3])
    try first.record(holders: [1: [shard], 2: [shard], 3: [shard]])
    try first.release([0, 1, 3])
    #expect(first.localExtents == [0, 2, 3])
    if cachedRows < 100 {
      #expect(throws: MemoryBankError.extentNotHeld(directory: "run/memory", row: 9)) { try read(first, [9]) }
    }
    try first.flush()

    let second = try store(storage, size: 64, rows: 30, digest: first.digest, cachedRows: cachedRows)
    #expect(second.localExtents == [0, 2, 3])
    #expect(try read(second, Array(16..<30) + [0, 7]) == rows(16..<30).array + rows(0..<1).array + rows(7..<8).array)
    #expect(throws: MemoryBankError.extentNotHeld(directory: "run/memory", row: 9)) { try read(second, [9]) }
    #expect(throws: MemoryBankError.extentNotHeld(directory: "run/memory", row: 8)) {
      try second.records(extent: 1, first: 0, count: 8)
    }
    do {
      let writer = try second.begin(record(1))
      try writer.append(records: source)
      try writer.seal()
    }
    #expect(try read(second, Array(0..<30)) == rows(0..<30).array)
    #expect(second.localExtents == [0, 1, 2, 3])
    #expect(throws: MemoryBankError.self) { _ = try second.begin(record(2)).seal() }
    #expect(try storage.list("run/memory").filter { $0.contains("part") }.isEmpty)
    // Held by nobody, its file would be missed.
    try storage.remove("run/memory/rows-000000000000")
    #expect(throws: MemoryBankError.missingExtent(file: "run/memory/rows-000000000000", rows: 0..<8)) {
      try store(storage, size: 64, rows: 30)
    }
  }

  @Test func aPowerCutAtAnyCallLosesNoExtentThatNobodyElseHolds() throws {
    var releasedBefore = 0
    for cut in 0..<30 {
      for seed in 0..<8 as Range<UInt64> {
        let storage = try newStorage()
        let first = try store(storage, size: 64)
        try first.append(rows(0..<20))
        try first.flush()
        let digest = first.digest
        storage.cutPower(after: cut)
        try? first.record(holders: [0: [shard]])
        try? first.release([0])
        try? first.append(rows(20..<30))
        _ = try? first.flush()
        storage.restart(cuttingPower: seed)
        let second = try store(storage, size: 64, rows: 20, digest: digest)
        let isHere = second.localExtents.contains(0)
        #expect(isHere || second.holders[0] == [shard], "cut \(cut), seed \(seed)")
        if !isHere { releasedBefore += 1 }
        #expect(second.sealed == [record(0), record(1)])
        #expect(try read(second, Array((isHere ? 0 : 8)..<20)) == rows((isHere ? 0 : 8)..<20).array)
      }
    }
    #expect(releasedBefore > 20 && releasedBefore < 240)
  }

  @Test func aFullDiskForTheLedgerIsNotTheEnd() throws {
    let storage = try newStorage()
    let first = try store(storage)
    try first.append(rows(0..<8))
    storage.setCapacity(first.layout.fileSize + 10)
    let error = #expect(throws: DurabilityError.self) { try first.flush() }
    #expect(error?.isOutOfSpace == true && first.sealed.isEmpty)
    storage.setCapacity(1 << 20)
    try first.flush()
    #expect(first.sealed == [record(0)])
  }
}

@Suite("The memory's size costs the coordinator nothing")
struct LargeMemoryTests {
  @Test(arguments: [1 << 20, 1 << 30, 1 << 40]) func residentMemoryDoesNotGrow(size: Int) throws {
    // Other tests of this process take memory at the same time; hardly in all of the tries.
    let growths = try (0..<10).map { _ in try growth(size: size) }
    // Bookkeeping for a gibibyte of rows; the rows themselves only once they come.
    #expect(try #require(growths.min()) < 48 << 20)
  }

  /// Bytes by which this process grows with both ends of a memory of so many rows.
  private func growth(size: Int) throws -> Int {
    let before = try ThisProcess.residentBytes()
    let store = try RowStore(
      storage: newStorage(), directory: "run/memory", layout: ExtentLayout(run: run, width: 256),
      window: MemoryWindow(size: size, rows: 0), digest: MemoryDigest())
    let cache = RowCache(memorySize: size, bytes: 1 << 30, seeded: SeededRows(seed: 1, width: 256))
    let draw = BlockDraw(
      window: MemoryWindow(size: size, rows: 1000), blockSize: 1_024, blocksPerStep: 8, seed: 1, step: 3)
    let block = FloatBuffer(count: 1_024 * 256).factor(rows: 1_024, columns: 256, precision: .fp32)
    #expect(cache.gather(draw, block: 7, positions: 0..<1_024, into: block).count == 128)
    #expect(store.rows == 0)
    return try ThisProcess.residentBytes() - before
  }
}
