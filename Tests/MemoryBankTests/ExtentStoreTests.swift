import Durability
import Foundation
import Glibc
import MemoryBank
import Numerics
import TestSupport
import Testing

/// A whole extent, as its source serves it: made by the layout's own arithmetic, file by file.
private struct Source {
  let record: ExtentRecord
  let records: [UInt8]

  init(_ index: Int, _ rowType: RowType = .fp32, shift: Float = 0) throws {
    let storage = try newStorage()
    let layout = layout(rowType)
    let store = try RowStore(
      storage: storage, directory: "run/memory", layout: layout, window: MemoryWindow(size: 1 << 20, rows: 0),
      digest: MemoryDigest(), cacheBytes: 0)
    let numbers = 0..<((index + 1) * layout.capacity)
    try store.append(rows(numbers, shift: shift))
    var chain = MemoryDigest()
    if index > 0 { chain.append(rows(0..<(index * layout.capacity), shift: shift), as: rowType) }
    let before = chain.state
    chain.append(rows(layout.rows(of: index), shift: shift), as: rowType)
    record = ExtentRecord(index: index, before: before, after: chain.state)
    records = try store.records(extent: index, first: 0, count: layout.capacity)
  }
}

private func open(_ storage: SimulatedStorage, _ rowType: RowType = .fp32, run: Digest = run) throws -> ExtentStore {
  try ExtentStore(storage: storage, directory: "shard", layout: layout(rowType, run: run), openFilesAtMost: 2)
}

private func copy(_ source: Source, into store: ExtentStore) throws {
  let writer = try store.begin(source.record)
  let half = 3 * store.layout.recordSize
  try writer.append(records: Array(source.records[..<half]))
  try writer.append(records: Array(source.records[half...]))
  try writer.seal()
}

private func read(_ store: ExtentStore, _ numbers: [Int]) throws -> [Float] {
  var bytes = [UInt8](repeating: 0, count: numbers.count * store.layout.rowSize)
  try bytes.withUnsafeMutableBytes { try store.read(numbers, into: $0) }
  return floats(bytes, store.layout.rowType)
}

private func names(_ storage: SimulatedStorage) throws -> [String] { try storage.list("shard") }

@Suite("A shard's disk holds whole extents only, and says which")
struct ExtentStoreTests {
  @Test(arguments: RowType.allCases)
  func copiesAreReadBackAndCopiedOn(rowType: RowType) throws {
    let storage = SimulatedStorage()
    let store = try open(storage, rowType)
    let sources = try (0..<4).map { try Source($0, rowType) }
    for source in sources { try copy(source, into: store) }
    let marks = Dictionary(uniqueKeysWithValues: sources.map { ($0.record.index, $0.record.mark) })
    #expect(store.held == marks)
    #expect(store.used == 4 * (64 + 8 * (width * rowType.bytes + 8)))
    #expect(try read(store, Array(0..<32)) == rows(0..<32).array)
    #expect(try read(store, [31, 0, 1, 2, 9, 8, 31]) == [31, 0, 1, 2, 9, 8, 31].flatMap { rows($0..<($0 + 1)).array })
    #expect(
      try store.records(extent: 2, first: 5, count: 100) == Array(sources[2].records[(5 * store.layout.recordSize)...]))

    storage.restart(cuttingPower: 1)
    let again = try open(storage, rowType)
    #expect(again.held == marks)
    #expect(try read(again, [17]) == rows(17..<18).array)
    try again.remove(2)
    #expect(throws: MemoryBankError.extentNotHeld(directory: "shard", row: 17)) { try read(again, [17]) }
    #expect(throws: MemoryBankError.extentNotHeld(directory: "shard", row: -1)) { try read(again, [-1]) }
    storage.restart(cuttingPower: 2)
    #expect(try open(storage, rowType).held.keys.sorted() == [0, 1, 3])
  }

  @Test func whatIsNotTheExtentIsNotSealed() throws {
    let storage = SimulatedStorage()
    let store = try open(storage)
    let source = try Source(1)
    func reason(_ records: [UInt8], of record: ExtentRecord = source.record) throws -> String {
      let error = #expect(throws: MemoryBankError.self) {
        let writer = try store.begin(record)
        try writer.append(records: records)
        try writer.seal()
      }
      guard case .brokenCopy(1, let reason)? = error else { return "\(error, default: "nothing")" }
      return reason
    }
    let (size, records) = (store.layout.recordSize, source.records)
    #expect(try reason(Array(records.dropLast(size))) == "only 7 of its rows came")
    #expect(try reason(Array(records.dropLast())) == "159 bytes came for at most 8 rows")
    #expect(try reason(records + records[..<size]) == "180 bytes came for at most 8 rows")
    var damaged = records
    damaged[2 * size + 5] ^= 1
    #expect(try reason(damaged) == "row 10 does not match its checksum")
    #expect(try reason(Source(0).records) == "row 8 does not match its checksum")
    // Whole rows, but other ones: of another incarnation, say.
    let other = try Source(1, shift: 0.5)
    #expect(try reason(other.records).hasPrefix("its rows lead to"))
    #expect(
      try reason(records, of: ExtentRecord(index: 1, before: Digest(high: 0, low: 1), after: source.record.after))
        .hasPrefix("its rows lead to"))
    #expect(store.held.isEmpty && store.used == 0)
    #expect(try names(storage).isEmpty)
    // A broken piece costs nothing: the next source's goes on where the last whole one ended.
    let writer = try store.begin(source.record)
    try writer.append(records: Array(records[..<size]))
    #expect(throws: MemoryBankError.self) { try writer.append(records: Array(damaged[size...])) }
    #expect(writer.rows == 1)
    try writer.append(records: Array(records[size...]))
    try writer.seal()
    #expect(try read(store, Array(8..<16)) == rows(8..<16).array)
  }

  @Test func aFullDiskShowsBeforeAnythingIsFetched() throws {
    let storage = SimulatedStorage()
    let store = try open(storage)
    let (first, second) = (try Source(0), try Source(1))
    storage.setCapacity(store.layout.fileSize + 100)
    try copy(first, into: store)
    let error = #expect(throws: DurabilityError.self) { _ = try store.begin(second.record) }
    #expect(error?.isOutOfSpace == true)
    #expect(store.used == store.layout.fileSize)
    #expect(try names(storage) == ["rows-000000000000"])
    #expect(try read(store, [3]) == rows(3..<4).array)
    storage.setCapacity(1 << 20)
    try copy(second, into: store)
    #expect(try read(store, [3, 12]) == rows(3..<4).array + rows(12..<13).array)
  }

  @Test func aPowerCutAtAnyCallLeavesWholeExtentsOnly() throws {
    let (first, second) = (try Source(0), try Source(1))
    var cutsInTime = 0
    for cut in 0..<40 {
      for seed in 0..<8 as Range<UInt64> {
        let storage = SimulatedStorage()
        let store = try open(storage)
        try copy(first, into: store)
        storage.cutPower(after: cut)
        let isSealed = (try? copy(second, into: store)) != nil
        if isSealed { try? store.remove(0) }
        let isRemoved = isSealed && store.held[0] == nil
        storage.restart(cuttingPower: seed)
        let again = try open(storage)
        let comment: Comment = "cut \(cut), seed \(seed)"
        if isSealed { #expect(again.held[1] == second.record.mark, comment) } else { cutsInTime += 1 }
        if !isRemoved && !isSealed { #expect(again.held[0] == first.record.mark, comment) }
        #expect(again.damaged.isEmpty, comment)
        for extent in again.held.keys {
          #expect(try again.verify(extent), comment)
          #expect(try read(again, Array(again.layout.rows(of: extent))) == rows(again.layout.rows(of: extent)).array)
        }
        #expect(try names(storage).count == again.held.count, comment)
        if again.held[1] == nil { try copy(second, into: again) }
        #expect(try read(again, [8]) == rows(8..<9).array, comment)
      }
    }
    #expect(cutsInTime > 50 && cutsInTime < 320)
  }

  @Test func everyChangedByteOfARowIsFoundAndTheExtentReplaced() throws {
    let storage = SimulatedStorage()
    let store = try open(storage)
    let source = try Source(1)
    try copy(Source(0), into: store)
    try copy(source, into: store)
    let path = "shard/rows-000000000008"
    for byte in 0..<20 {
      try storage.corrupt(path, at: 64 + 2 * 20 + byte) { $0 ^ 4 }
      let damage = MemoryBankError.damagedRow(file: path, row: 10)
      #expect(throws: damage) { try read(store, [9, 10, 11]) }
      #expect(throws: damage) { try store.records(extent: 1, first: 0, count: 8) }
      #expect(store.damaged == [1])
      #expect(try !store.verify(1))
      // The other rows are still served, until a copy takes the place of all.
      #expect(try read(store, [9, 11, 1]) == [9, 11, 1].flatMap { rows($0..<($0 + 1)).array })
      try copy(source, into: store)
      #expect(store.damaged.isEmpty)
      #expect(try read(store, [9, 10, 11]) == rows(9..<12).array)
    }
    #expect(try store.verify(0) && store.verify(1))
  }

  @Test func everyChangedByteOfAHeaderIsFoundAtTheStart() throws {
    let storage = SimulatedStorage()
    try copy(Source(0), into: open(storage))
    try copy(Source(1), into: open(storage))
    for byte in 0..<64 {
      try storage.corrupt("shard/rows-000000000008", at: byte) { $0 ^ 1 }
      let store = try open(storage)
      #expect(store.held.keys.sorted() == [0] && store.damaged == [1])
      #expect(store.used == 2 * store.layout.fileSize)
      try storage.corrupt("shard/rows-000000000008", at: byte) { $0 ^ 1 }
    }
    let file = try storage.open("shard/rows-000000000016", .replacing)
    try [UInt8](repeating: 0, count: 10).withUnsafeBytes { try file.write($0, at: 0) }
    #expect(try open(storage).damaged == [2])
  }

  @Test func otherRunsAndNewerFormatsAreRefusedWithNothingChanged() throws {
    let storage = SimulatedStorage()
    let other = Digest(high: 9, low: 9)
    let source = try Source(1)
    try copy(source, into: open(storage))
    _ = try storage.open("shard/rows-000000000016.part-7", .replacing)
    func refused(_ expected: MemoryBankError, _ layout: ExtentLayout) {
      #expect(throws: expected) { _ = try ExtentStore(storage: storage, directory: "shard", layout: layout) }
    }
    let path = "shard/rows-000000000008"
    func foreign(_ property: String, _ expected: Any, _ found: Any) -> MemoryBankError {
      .foreignExtent(file: path, property: property, expected: "\(expected)", found: "\(found)")
    }
    refused(foreign("run", other, run), layout(run: other))
    refused(foreign("row type", "fp16", "fp32"), layout(.fp16))
    refused(foreign("row width", 4, 3), ExtentLayout(run: run, width: 4, capacity: 8))
    // No name of an extent of 16 rows, and still no file of ours.
    refused(foreign("number of rows", 16, 8), ExtentLayout(run: run, width: 3, capacity: 16))
    #expect(try names(storage) == ["rows-000000000008", "rows-000000000016.part-7"])
    // A newer massl's, and those of the one whose rows had another checksum.
    for version in [3, 1] {
      var header = [UInt8](repeating: 0, count: 64)
      let file = try storage.open(path, .updating)
      try header.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
      header[8] = UInt8(version)
      let sum = Digest(of: header[..<56]).low.littleEndian
      header.replaceSubrange(56..<64, with: withUnsafeBytes(of: sum) { Array($0) })
      try header.withUnsafeBytes { try file.write($0, at: 0) }
      refused(.otherFormat(file: path, version: version, supported: 2), layout())
    }
  }

  @Test func aFailingDiskIsNoDamage() throws {
    let storage = SimulatedStorage()
    let store = try open(storage)
    try copy(Source(0), into: store)
    storage.failOperation(after: 1)
    #expect(throws: DurabilityError.self) { try read(store, [1]) }
    #expect(store.damaged.isEmpty)
    #expect(try read(store, [1]) == rows(1..<2).array)
    for operation in 0..<9 {
      storage.failOperation(after: operation)
      #expect(throws: DurabilityError.self) { try copy(Source(1), into: store) }
    }
    #expect(store.held.keys.sorted() == [0])
  }
}

@Suite("A shard's disk of real files is read through mappings, and damage there is found as everywhere")
struct MappedExtentTests {
  private func withStore(_ rowType: RowType, _ body: (ExtentStore, String) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      let store = try ExtentStore(
        storage: FileStorage(), directory: folder, layout: layout(rowType), openFilesAtMost: 1)
      for index in 0..<5 { try copy(Source(index, rowType), into: store) }
      try body(store, folder)
    }
  }

  @Test(arguments: RowType.allCases) func rowsComeInAnyOrderAndNumber(rowType: RowType) throws {
    try withStore(rowType) { store, folder in
      #expect(try read(store, Array(0..<40)) == rows(0..<40).array)
      try store.read([], into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
      // More than are checked together, with repetitions, from file to file.
      let numbers = (0..<100).map { $0 * 27 % 40 }
      #expect(try read(store, numbers) == numbers.flatMap { rows($0..<($0 + 1)).array })
      try store.remove(2)
      #expect(throws: MemoryBankError.extentNotHeld(directory: folder, row: 17)) {
        try read(store, [1, 17])
      }
      #expect(throws: MemoryBankError.extentNotHeld(directory: folder, row: -3)) { try read(store, [-3]) }
      #expect(try read(store, [1, 39]) == rows(1..<2).array + rows(39..<40).array)
      // One that comes again is another file under the same name.
      try copy(Source(2, rowType), into: store)
      #expect(try read(store, [17]) == rows(17..<18).array)
    }
  }

  @Test(arguments: RowType.allCases) func everyChangedByteIsFoundWhereverItsRowIsPut(rowType: RowType) throws {
    try withStore(rowType) { store, folder in
      let path = "\(folder)/rows-000000000008"
      #expect(try read(store, [10]) == rows(10..<11).array)
      let file = try FileStorage().open(path, .updating)
      for byte in 0..<store.layout.recordSize {
        var value: UInt8 = 0
        let place = 64 + 2 * store.layout.recordSize + byte
        try withUnsafeMutableBytes(of: &value) { try file.read(at: place, into: $0) }
        value ^= 4
        try withUnsafeBytes(of: value) { try file.write($0, at: place) }
        for numbers in [[10], [9, 10, 11], Array(repeating: 3, count: 17) + [10]] {
          #expect(throws: MemoryBankError.damagedRow(file: path, row: 10)) { try read(store, numbers) }
        }
        #expect(store.damaged == [1])
        #expect(try read(store, [9, 11]) == rows(9..<10).array + rows(11..<12).array)
        value ^= 4
        try withUnsafeBytes(of: value) { try file.write($0, at: place) }
        #expect(try read(store, [9, 10]) == rows(9..<11).array)
      }
    }
  }

  @Test func aFileCutShortWhileItIsServedIsAnError() throws {
    try withStore(.fp32) { (store: ExtentStore, folder: String) throws -> Void in
      let path = "\(folder)/rows-000000000008"
      #expect(try read(store, [9]) == rows(9..<10).array)
      #expect(Glibc.truncate(path, 0) == 0)
      #expect(throws: DurabilityError.failed(operation: .read, path: path, number: EIO)) { try read(store, [9]) }
      #expect(try read(store, [1]) == rows(1..<2).array)
      #expect(try !store.verify(1))
    }
  }
}

@Suite("The ledger of extents is written whole, and damage in it is found")
struct ExtentLedgerTests {
  private let shards = [Digest(high: 7, low: 1), Digest(high: 5, low: 2), Digest(high: 7, low: 0)]

  private func ledger(_ count: Int) -> ExtentLedger {
    var ledger = ExtentLedger()
    for index in 0..<count {
      ledger.add(
        ExtentRecord(
          index: index, before: Digest(high: 0, low: UInt64(index)), after: Digest(high: 0, low: UInt64(index + 1))))
    }
    return ledger
  }

  @Test func itIsReadBackAsWritten() throws {
    let storage = try newStorage()
    #expect(try ExtentLedger(path: "run/extents.json", run: run, in: storage) == ExtentLedger())
    var ledger = ledger(5)
    ledger.set(holders: shards, of: 1)
    ledger.set(holders: [shards[0]], of: 3)
    ledger.shards = [
      shards[0]: ExtentLedger.Shard(name: "a", endpoint: "tcp://a:1", isDraining: true),
      shards[1]: ExtentLedger.Shard(name: "b"),
    ]
    #expect(!ledger.set(holders: shards, of: 9) && !ledger.set(holders: shards.reversed(), of: 1))
    try ledger.write(to: "run/extents.json", run: run, in: storage)
    let read = try ExtentLedger(path: "run/extents.json", run: run, in: storage)
    #expect(read == ledger)
    #expect(read.elsewhere == [1, 3])
    #expect(read[1]?.holders == [shards[1], shards[2], shards[0]])
    #expect(read.records.map(\.index) == [0, 1, 2, 3, 4])
  }

  @Test func oneFromBeforeShardsWereRecordedIsRead() throws {
    let storage = try newStorage()
    let path = "run/extents.json"
    var ledger = ledger(2)
    ledger.set(holders: shards, of: 1)
    try ledger.write(to: path, run: run, in: storage)
    let bytes = Data(try storage.readWhole(path, limit: 1 << 20))
    var document = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
    #expect(document.removeValue(forKey: "shards") != nil && document.removeValue(forKey: "shardsDigest") != nil)
    try storage.writeAtomically(JSONSerialization.data(withJSONObject: document), to: path)
    #expect(try ExtentLedger(path: path, run: run, in: storage) == ledger)
  }

  @Test func theSameRowsKeepTheirHoldersAndOthersDoNot() throws {
    var ledger = ledger(3)
    for index in 0..<3 { ledger.set(holders: shards, of: index) }
    ledger.add(try #require(ledger[1]).record)
    #expect(ledger[1]?.holders.count == 3)
    ledger.add(ExtentRecord(index: 1, before: Digest(high: 0, low: 1), after: Digest(high: 8, low: 8)))
    #expect(ledger[1]?.holders == [])
    ledger.forget { $0 >= 2 }
    #expect(ledger.records.map(\.index) == [0, 1])
  }

  @Test func damageAnotherRunAndANewerFormatAreRefused() throws {
    let storage = try newStorage()
    let path = "run/extents.json"
    var ledger = ledger(2)
    ledger.set(holders: shards, of: 1)
    ledger.shards = [shards[0]: ExtentLedger.Shard(name: "a", endpoint: "tcp://a:1")]
    try ledger.write(to: path, run: run, in: storage)
    #expect(throws: MemoryBankError.self) { try ExtentLedger(path: path, run: Digest(high: 0, low: 0), in: storage) }
    let bytes = try storage.readWhole(path, limit: 1 << 20)
    for byte in bytes.indices {
      try storage.corrupt(path, at: byte) { $0 ^ 1 }
      #expect(throws: MemoryBankError.self) { try ExtentLedger(path: path, run: run, in: storage) }
      try storage.corrupt(path, at: byte) { $0 ^ 1 }
    }
    for end in [0, 1, bytes.count - 1] {
      try storage.writeAtomically(bytes[..<end], to: path)
      #expect(throws: MemoryBankError.damagedLedger(file: path)) {
        try ExtentLedger(path: path, run: run, in: storage)
      }
    }
    try storage.writeAtomically(Array(#"{"version":2}"#.utf8), to: path)
    #expect(throws: MemoryBankError.otherFormat(file: path, version: 2, supported: 1)) {
      try ExtentLedger(path: path, run: run, in: storage)
    }
  }
}
