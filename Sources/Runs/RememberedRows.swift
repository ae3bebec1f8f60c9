import Checkpoints
import Configuration
import Durability
import MemoryBank
import Networks
import Numerics
import Training

/// The memory of a run at a checkpoint, for who looks into it: its rows, and which picture each is of.
///
/// The run's files and its shards' are only read; other processes may have them and go on. Owned by one thread.
public struct RememberedRows {
  /// Of the checkpoint's network and memory.
  public let definition: RunDefinition
  public let manifest: Manifest
  private let checkpoint: Checkpoint
  private let files: StoredRows

  /// - Parameters:
  ///   - run: the run's directory.
  ///   - step: of one of its checkpoints; nil: the newest whole one.
  ///   - shards: directories of its memory shards, for rows that it has not itself.
  /// - Throws: `CheckpointError`, `DurabilityError`; `MemoryBankError` of the ledger; `MemoryError` of a directory that is
  ///   no shard of this run.
  public init(of run: String, step: Int?, shards: [String] = [], in storage: any Storage = FileStorage()) throws {
    checkpoint = try RunDirectory.checkpoint(of: run, step: step, in: storage)
    manifest = checkpoint.manifest
    try ShardDirectory.check(shards, areOf: manifest.run, in: storage)
    definition = try RunDefinition(of: manifest)
    files = try StoredRows(
      in: "\(run)/memory", shards: shards, layout: definition.extentLayout(run: manifest.run), storage: storage)
  }

  /// The numbers of the rows that were enqueued and are in the memory: not those that it begins with, which are of no
  /// picture.
  public var numbers: Range<Int> {
    MemoryWindow(size: definition.configuration.memorySize, rows: manifest.rows, floor: manifest.floor).stored
  }

  /// Copies consecutive rows into the first rows of a matrix `[any, bottleneckDim]`, as many as are in one file.
  /// - Parameter wanted: within `numbers`, at least one.
  /// - Returns: how many were copied.
  /// - Throws: `MemoryBankError`; `CheckpointError.weightsOnly`; `DurabilityError`.
  public func read(_ wanted: Range<Int>, into rows: Matrix) throws -> Int {
    try checkpoint.withRows { try files.read(wanted, into: rows) }
  }

  /// Makes sure that rows can be read before anything is computed, so that all that is missing is said at once.
  /// - Throws: as `read`.
  public func find(_ wanted: Range<Int>) throws { try checkpoint.withRows { try files.find(wanted) } }

  /// The teacher that the memory's next rows will be of, with the running statistics of its BatchNorms.
  /// - Throws: `CheckpointError`.
  public func teacher() throws -> (parameters: FloatBuffer, statistics: FloatBuffer?) {
    let parameters = FloatBuffer(count: definition.layout.count)
    let statistics = initialStatistics(layout: definition.statisticsLayout)
    try checkpoint.load(
      CheckpointContent(student: [], teacher: definition.tensorGroups(parameters, statistics), optimizer: []))
    return (parameters, statistics)
  }
}

// MARK: - Whose rows they are

extension Manifest {
  /// The first step with the pictures that its configuration and data set say, in their order: a fork may have gone on there
  /// from others.
  var firstStepOfItsPictures: Int {
    let keys = ["batch_size", "seed", ConfigurationChange.dataKey]
    return changes.last { keys.contains($0.key) }?.step ?? 0
  }

  /// The first step with the views that its configuration says.
  public var firstStepOfItsViews: Int {
    let since = changes.last { ConfigurationKey.named($0.key)?.kind == .identity }?.step ?? 0
    return max(since, firstStepOfItsPictures)
  }
}

extension RememberedRows {
  /// Where a row comes from.
  public struct Origin: Equatable, Sendable {
    /// That enqueued it; the first is 0.
    public let step: Int
    /// In the data set. Another takes its place where it does not decode, or was lost by then.
    public let picture: Int
  }

  /// The first row whose picture is known: rows that a fork took over from a run with other pictures, or in another
  /// order, are those of pictures that this run's files do not name.
  public var firstOfKnownPicture: Int {
    max(0, manifest.rows - (manifest.step - manifest.firstStepOfItsPictures) * definition.configuration.batchSize)
  }

  /// The picture of a row; nil for one below `firstOfKnownPicture`.
  public func origin(ofRow row: Int) -> Origin? {
    guard row >= firstOfKnownPicture, row < manifest.rows else { return nil }
    let batch = definition.configuration.batchSize
    let back = manifest.rows - 1 - row
    let step = manifest.step - 1 - back / batch
    guard step >= 0 else { return nil }
    return Origin(step: step, picture: definition.picture(step: step, indexInBatch: batch - 1 - back % batch))
  }
}
