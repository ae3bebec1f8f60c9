import Checkpoints
import Configuration
import Coordination
import Durability
import Machine
import MemoryBank
import Messages
import Networks
import Numerics
import Optimization
import Runs
import Training
import Vision

/// A run as its directory has it: opened and locked, with the newest whole checkpoint loaded, or at its beginning.
struct ResumedRun: Sendable {
  let directory: RunDirectory
  let checkpoints: CheckpointDirectory
  let definition: RunDefinition
  let rows: RowStore
  let version: WeightsVersion
  /// The step of the checkpoint that was loaded; nil if there was none.
  let durableStep: Int?
  let quarantine: Quarantine
  /// By host: the first step in which a result of it counts that nobody compared.
  let unaudited: [String: Int]
  /// Of the workers of before; nil where nobody noted it.
  let probe: Digest?
  /// Pictures that were found not to decode.
  let undecodable: Set<Int>
  let lost: [LostPictureRecord]

  /// - Throws: `CheckpointError`, `RunError.pastTheEnd`, `ConfigurationError`, `MemoryBankError`,
  ///   `DurabilityError`.
  init(_ options: CoordinatorOptions, data: DataSet, storage: any Storage, log: ServiceLog) throws {
    // 1. The directory. Its configuration can be read before it is locked, for it never changes.
    let isNew = try !RunDirectory.isRun(options.run, in: storage)
    let begun =
      isNew
      ? try RunConfiguration(layers: options.layers + [options.changes]).born(in: options.computeClass)
      : try Self.configuration(RunDirectory.configuration(of: options.run, in: storage), file: "config.yaml")
    let allowance = Allowance.current
    if isNew {
      try MemoryNeed.coordinator(of: RunDefinition(configuration: begun, pictures: data.count)).check(allowance)
    }
    let initial = try InitialWeights(options, begun, pictures: data.count, isNew: isNew, in: storage)
    var random = SystemRandomNumberGenerator()
    directory = try RunDirectory.open(
      options.run, configuration: begun.yaml(),
      data: DataRecord(count: data.identity.count, digest: data.identity.digest), initialWeights: initial.record,
      in: storage, random: &random)
    checkpoints = try directory.checkpoints()
    try checkpoints.recover()
    let aside = try directory.goBackIfNeeded(checkpoints)
    if !aside.isEmpty {
      log(
        .warning,
        "Set aside in \(directory.checkpointsPath), without their memory rows: \(aside.joined(separator: ", ")).")
    }
    quarantine = try directory.quarantine()

    // 2. The newest whole checkpoint.
    let (checkpoint, damaged) = try checkpoints.newestWhole()
    for error in damaged { log(.error, "\(error)") }
    // Not to begin anew where there is something to save: which one to give up is the user's choice.
    if checkpoint == nil, let error = damaged.first { throw error }
    if let checkpoint { try directory.check(checkpoint) }
    let manifest = checkpoint?.manifest
    try initial.check(directory, hasCheckpoint: checkpoint != nil)

    // 3. The configuration: the run's, with what was asked to change.
    let saved = try manifest.map { try Self.configuration($0.configuration, file: "manifest.json") } ?? begun
    let given = try saved.resumed(
      run: options.run, begun: begun, layers: options.layers, changes: options.changes)
    var changes = manifest?.changes ?? []
    for difference in given.differences(from: saved) where difference.kind == .trajectory {
      changes.append(
        ConfigurationChange(
          step: manifest?.step ?? 0, key: difference.name, from: difference.saved, to: difference.given))
      log(.info, "From step \(manifest?.step ?? 0) on \(difference.name) is \(difference.given).")
    }
    let resize = MemoryResize(saved: saved, given: given, rows: manifest?.rows ?? 0)
    if manifest != nil, let sentence = resize.sentence { log(.info, sentence) }
    definition = try RunDefinition(configuration: given, pictures: data.count)
    let need = MemoryNeed.coordinator(of: definition)
    try need.check(allowance)
    for sentence in given.warnings() { log(.warning, sentence) }

    // 4. Weights and memory.
    let enqueued = manifest?.rows ?? 0
    let floor = definition.floor(manifest?.floor ?? 0, rows: enqueued, memoryWas: saved.memorySize)
    let (files, memoryPath, layout) = (
      directory.storage, directory.memoryPath, definition.extentLayout(run: directory.run)
    )
    func memory() throws -> RowStore {
      try RowStore(
        storage: files, directory: memoryPath, layout: layout,
        window: MemoryWindow(size: given.memorySize, rows: enqueued, floor: floor),
        digest: manifest.map { MemoryDigest(resuming: $0.memory) } ?? MemoryDigest(),
        cacheBytes: min(options.rowCacheBytes, need.rest(of: allowance)))
    }
    rows = try checkpoint.map { try $0.withRows(memory) } ?? memory()
    var version =
      if let checkpoint { try WeightsVersion(of: checkpoint, definition) } else { initial.version(definition) }
    version.floor = floor
    version.changes = changes
    if let manifest {
      // A run that was shortened.
      guard manifest.step <= definition.lastStep else {
        throw RunError.pastTheEnd(run: options.run, step: manifest.step, lastStep: definition.lastStep)
      }
      log(.info, "Resumes \(options.run) at step \(manifest.step) of \(definition.lastStep).")
    } else {
      log(.info, "Starts \(options.run): \(definition.lastStep) steps.")
      for sentence in initial.sentences { log(.info, sentence) }
    }
    durableStep = manifest?.step
    unaudited = manifest?.unaudited ?? [:]
    probe = manifest?.probe
    if let probe, let own = options.probe, probe != own {
      log(
        .warning,
        "Until step \(manifest?.step ?? 0) workers' probe was \(probe), and this machine's is \(own): its processor or "
          + "libraries round differently. From here on the run has other bits than it would have had.")
    }
    undecodable = Set(manifest?.undecodable ?? []).filter { $0 < data.count }
    lost = try directory.lostPictures()
    if !lost.isEmpty { log(.info, "Pictures that could not be read any more, and are left out: \(lost.count).") }
    self.version = version
  }

  private static func configuration(_ text: String, file: String) throws -> RunConfiguration {
    try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: file)])
  }
}

// MARK: - Memory shards

extension ResumedRun {
  /// Which extents there are, and who holds them.
  var memory: ResumedMemory {
    let holders = rows.holders
    let entries = rows.sealed.map { record in
      LedgerEntry(
        extent: record.identity,
        holders: (holders[record.index] ?? []).map { ShardID($0) })
    }
    let shards = rows.shards.map { shard, known in
      (
        ShardID(shard),
        LedgerShard(
          name: known.name, endpoint: known.endpoint.flatMap { try? Endpoint($0) }, isDraining: known.isDraining)
      )
    }
    let needed = try? checkpoints.neededRows()
    return ResumedMemory(
      ledger: Ledger(entries: entries, shards: Dictionary(uniqueKeysWithValues: shards)), local: rows.localExtents,
      oldestRow: needed?.oldest ?? 0,
      settledRows: needed?.settled ?? 0)
  }
}
