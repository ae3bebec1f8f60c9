import Checkpoints
import Configuration
import Durability
import MemoryBank
import Messages
import Numerics
import Training
import Vision

/// A memory as a long run would have left it on its shards' disks, made in a minute: for measuring what needs rows, not
/// training.
///
///     DIRECTORY/shard-0, shard-1, ...   what `massl memory --directory` serves; whole extents, in turn
///     DIRECTORY/extents.json            which those are
///     DIRECTORY/run                     what `massl coordinator --run` resumes, at step 0 with all rows enqueued
///
/// Row r is the seeded row of the number r: of unit length, and another for each r.
package struct FilledMemory: Sendable {
  package let configuration: RunConfiguration
  package let layout: ExtentLayout
  /// A whole number of extents; also the memory's size.
  package let rows: Int
  /// In order: extent e is in shard e modulo their number.
  package let stores: [ExtentStore]
  private let directory: String
  private let storage: any Storage
  private let ledger: ExtentLedger
  private let directories: [ShardDirectory]

  /// Opens what an earlier call with the same shape left, or fills it.
  ///
  /// - Parameters:
  ///   - rows: rounded up to whole extents; `memory_size` becomes that.
  ///   - threads: that compute rows.
  /// - Throws: `MemoryError`, `MemoryBankError`, `DurabilityError` of the directories; `ConfigurationError` where that
  ///   many rows are no memory of whole blocks.
  package init(
    _ configuration: RunConfiguration, rows: Int, shards: Int, in directory: String, threads: Int,
    storage: any Storage = FileStorage()
  ) throws {
    invariant(rows > 0 && shards > 0, "\(rows) rows on \(shards) shards")
    // Whoever fills anew with another shape meets a directory of another run.
    let shape = ExtentLayout(
      run: Digest(high: 0, low: 0), width: configuration.bottleneckDim, capacity: configuration.extentRows,
      rowType: configuration.rowType)
    let extents = (rows + shape.capacity - 1) / shape.capacity
    let words = "\(shape.width) \(shape.capacity) \(shape.rowType) \(extents) \(shards) \(configuration.seed)"
    let layout = ExtentLayout(
      run: Digest(of: "filled \(words)".utf8), width: shape.width, capacity: shape.capacity, rowType: shape.rowType)
    self.layout = layout
    self.rows = extents * layout.capacity
    self.directory = directory
    self.storage = storage
    var configuration = configuration
    configuration.memorySize = self.rows
    self.configuration = try configuration.changed(by: [])
    directories = try (0..<shards).map { try ShardDirectory("\(directory)/shard-\($0)", in: storage) }
    for directory in directories { try directory.adopt(layout, following: Incarnation(0)) }
    stores = try directories.map { try ExtentStore(storage: storage, directory: $0.path, layout: layout) }
    let path = "\(directory)/\(RowStore.ledgerName)"
    var ledger = try ExtentLedger(path: path, run: layout.run, in: storage)
    let (stores, owners) = (stores, directories.map(\.shard.digest))
    let isThere = (0..<extents).allSatisfy { index in
      ledger[index].map { stores[index % shards].held[index] == $0.record.mark } ?? false
    }
    if !isThere {
      ledger = ExtentLedger()
      let seeded = SeededRows(seed: configuration.seed, width: layout.width, rowType: layout.rowType)
      var chain = MemoryDigest()
      for index in 0..<extents {
        let records = Self.records(of: index, layout, seeded, threads: threads)
        let before = chain.state
        layout.append(records, to: &chain)
        let record = ExtentRecord(index: index, before: before, after: chain.state)
        let writer = try stores[index % shards].begin(record)
        try writer.append(records: records)
        try writer.seal()
        ledger.add(record)
        ledger.set(holders: [owners[index % shards]], of: index)
      }
      try ledger.write(to: path, run: layout.run, in: storage)
    }
    self.ledger = ledger
  }

  /// An extent's rows as they stand in its file.
  private static func records(
    of index: Int, _ layout: ExtentLayout, _ seeded: SeededRows, threads: Int
  ) -> [UInt8] {
    let buffer = FloatBuffer(count: layout.capacity * layout.width)
    let first = index * layout.capacity
    forEachChunk(threads) { thread in
      for row in stride(from: thread, to: layout.capacity, by: threads) {
        seeded.write(row: first + row, into: buffer.vector(at: row * layout.width, count: layout.width))
      }
    }
    let rows = buffer.matrix(rows: layout.capacity, columns: layout.width)
    return layout.records(of: rows, 0..<layout.capacity, firstNumber: first)
  }

  /// Lets go of the shards' directories, so that other processes can serve them.
  package func release() { for directory in directories { directory.release() } }
}

// MARK: - A run that has it

extension FilledMemory {
  /// Makes `DIRECTORY/run` anew: a run with initial weights and this memory.
  /// - Throws: `ConfigurationError`, `NetworkError` for settings that do not fit; `CheckpointError`, `DurabilityError`.
  package func writeRun(on data: DataSet) throws {
    let definition = try RunDefinition(configuration: configuration, pictures: data.count)
    let path = "\(directory)/run"
    try storage.remove(path)
    var identity = IdentityGenerator(of: layout.run)
    let run = try RunDirectory.open(
      path, configuration: configuration.yaml(),
      data: DataRecord(count: data.identity.count, digest: data.identity.digest), in: storage, random: &identity)
    defer { run.release() }
    invariant(run.run == layout.run, "a run of another identity")
    try storage.makeDurableDirectory(run.memoryPath)
    try ledger.write(to: "\(run.memoryPath)/\(RowStore.ledgerName)", run: layout.run, in: storage)
    let version = WeightsVersion.initial(definition)
    let last = ledger[rows / layout.capacity - 1]?.record.after ?? MemoryDigest().state
    try run.checkpoints().write(
      version.content(definition),
      Manifest(
        run: run.run, incarnation: 0, step: 0, epoch: 0, student: version.studentDigest,
        teacher: version.teacherDigest, memory: last, rows: rows, floor: 0, oldestRow: 0, data: run.data,
        configuration: configuration.yaml(), changes: [],
        optimizer: OptimizerRecord(kind: configuration.optimizer.rawValue, steps: 0)))
  }

  /// Gives a new run the identity that its rows have.
  private struct IdentityGenerator: RandomNumberGenerator {
    private var words: [UInt64]
    init(of identity: Digest) { words = [identity.low, identity.high] }
    mutating func next() -> UInt64 { words.popLast() ?? 0 }
  }
}
