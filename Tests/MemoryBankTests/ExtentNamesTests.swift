import MemoryBank
import Numerics
import TestSupport
import Testing

/// A process may die between giving an extent its name and what makes the name durable. Whoever opens the directory next
/// finds the extent, tells of it, and others let go of theirs.
@Suite("An extent that is found after a process died outlives a power cut")
struct ExtentNamesTests {
  /// The first extent's record and rows, and the chain after twenty rows.
  private struct Source {
    let record: ExtentRecord
    let records: [UInt8]
    let digest: MemoryDigest

    /// - Parameter storage: its run directory then has twenty rows, the first eight of them with a shard.
    init(_ storage: SimulatedStorage) throws {
      let store = try Source.open(storage, rows: 0, MemoryDigest())
      try store.append(rows(0..<20))
      record = try #require(try store.flush().first)
      records = try store.records(extent: 0, first: 0, count: 8)
      digest = store.digest
      try store.record(holders: [0: [Digest(high: 5, low: 6)]])
      try store.release([0])
      try store.flush()
    }

    static func open(_ storage: SimulatedStorage, rows: Int, _ digest: MemoryDigest) throws -> RowStore {
      try RowStore(
        storage: storage, directory: "run/memory", layout: layout(), window: MemoryWindow(size: 64, rows: rows),
        digest: digest, cacheBytes: 0)
    }

    /// Copies the extent, as far as the disk goes along.
    func copy(_ begin: (ExtentRecord) throws -> ExtentWriter) {
      guard let writer = try? begin(record), (try? writer.append(records: records)) != nil else { return }
      try? writer.seal()
    }
  }

  @Test func onAShardsDisk() throws {
    let source = try Source(newStorage())
    func open(_ storage: SimulatedStorage) throws -> ExtentStore {
      try ExtentStore(storage: storage, directory: "shard", layout: layout())
    }
    var found = 0
    for cut in 0..<20 {
      for seed in 0..<8 as Range<UInt64> {
        let storage = SimulatedStorage()
        let store = try open(storage)
        storage.cutPower(after: cut)
        source.copy { try store.begin($0) }
        storage.restart()
        guard try open(storage).held[0] != nil else { continue }
        found += 1
        storage.restart(cuttingPower: seed)
        #expect(try open(storage).held[0] == source.record.mark, "cut \(cut), seed \(seed)")
      }
    }
    #expect(found > 8 && found < 160)
  }

  @Test func inTheCoordinatorsFiles() throws {
    var found = 0
    for cut in 0..<20 {
      for seed in 0..<8 as Range<UInt64> {
        let storage = try newStorage()
        let source = try Source(storage)
        let store = try Source.open(storage, rows: 20, source.digest)
        storage.cutPower(after: cut)
        source.copy { try store.begin($0) }
        storage.restart()
        guard try Source.open(storage, rows: 20, source.digest).localExtents.contains(0) else { continue }
        found += 1
        storage.restart(cuttingPower: seed)
        let isHere = try Source.open(storage, rows: 20, source.digest).localExtents.contains(0)
        #expect(isHere, "cut \(cut), seed \(seed)")
      }
    }
    #expect(found > 8 && found < 160)
  }
}
