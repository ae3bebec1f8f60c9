import Checkpoints
import Configuration
import Durability
import MemoryBank
import Numerics
import Training
import Vision
import WeightFiles

/// Makes a new run that goes on from a checkpoint of another one, with other settings or on another data set: the way
/// past a step that cannot be passed, and on when pictures are gone or have come.
///
/// The new run has an identity of its own and a copy of the memory's rows, so the old one may go on or be deleted.
public struct RunFork: Sendable {
  /// What the new run has of the old one.
  public struct Result: Sendable {
    /// Updates done, in the old run's steps.
    public var step: Int
    /// The same place in the new run's, whose schedules go on from there.
    public var newStep: Int
    /// The new run ends before this one.
    public var lastStep: Int
    /// Of the old run's next step, and of the new one's.
    public var learningRates: (old: Double, new: Double)
    /// Memory rows copied.
    public var rows: Int
    /// Keys with another value, in the table's order.
    public var differences: [KeyDifference]
    /// Nil if the pictures are the same.
    public var data: DataChange?
    /// How the weights were made of another file; empty if they are the old run's.
    public var weights: [String]
  }

  /// What another data set makes of a run.
  public struct DataChange: Sendable {
    public var pictures: (before: Int, now: Int)
    public var stepsPerEpoch: (before: Int, now: Int)
    /// The run ends before this step.
    public var lastStep: (before: Int, now: Int)
  }

  private let source: String
  private let checkpoint: Checkpoint
  private let old: RunDefinition
  private let new: RunDefinition
  /// The new run's, if it is another than the old one's.
  private let otherData: DataRecord?
  /// The file whose backbone the new run goes on with, and its path; nil: with the old run's.
  private let otherWeights: (network: PretrainedNetwork, file: String)?
  /// Directories of the old run's memory shards.
  private let shards: [String]
  private let storage: any Storage

  /// - Parameters:
  ///   - run: the old run's directory; it is only read.
  ///   - step: of one of its checkpoints; nil: of the newest whole one.
  ///   - changes: the new run's settings where they differ.
  ///   - machine: the class that `compute_class auto` among them stands for, in a precision.
  ///   - data: the new run's data set; nil: the old one's.
  ///   - weights: a file with the backbone that student and teacher go on with; nil: the checkpoint's. Their heads and the
  ///     memory stay, and the optimizer begins anew, for its moments are of other weights.
  ///   - shards: directories of the old run's memory shards, for rows that it has not itself; they are only read.
  /// - Throws: `CheckpointError` of the checkpoint; `ConfigurationError` if the settings do not fit together;
  ///   `RunError.otherShapes`, `.pastTheEnd`; `MemoryError` of a directory that is no shard of this run; `WeightFileError`
  ///   of the file.
  public init(
    of run: String, atStep step: Int?, changes: ConfigurationLayer, machine: (PrecisionName) -> ComputeClassName,
    data: DataSet? = nil, weights: String? = nil,
    shards: [String] = [], in storage: any Storage = FileStorage()
  ) throws {
    self.storage = storage
    self.shards = shards
    source = run
    checkpoint = try RunDirectory.checkpoint(of: run, step: step, in: storage)
    let manifest = checkpoint.manifest
    try ShardDirectory.check(shards, areOf: manifest.run, in: storage)
    old = try RunDefinition(of: manifest)
    let record = data.map { DataRecord(count: $0.count, digest: $0.identity.digest) }
    otherData = record == manifest.data ? nil : record
    var changed = try old.configuration.changed(by: [changes])
    if let steps = changed.warmupSteps, !changes.names.contains("warmup_steps") {
      let batch = old.configuration.batchSize
      changed.warmupSteps = Self.steps(steps, ofBatches: batch, inBatchesOf: changed.batchSize)
    }
    new = try RunDefinition(
      configuration: changed.born(in: machine(changed.precision)),
      pictures: (otherData ?? manifest.data).count)
    guard new.layout == old.layout, new.statisticsLayout == old.statisticsLayout,
      new.configuration.optimizer == old.configuration.optimizer
    else {
      let keys = new.configuration.differences(from: old.configuration).filter { $0.kind == .identity }.map(\.name)
      throw RunError.otherShapes(run: run, keys: keys)
    }
    otherWeights = try weights.map { (try PretrainedNetwork($0, in: storage), $0) }
    do { try otherWeights?.network.check(new.architecture) } catch WeightFileError.otherNetwork(let file, let keys) {
      throw RunError.otherBackbone(run: run, file: file, keys: keys)
    }
    let step = new.step(of: manifest.step, in: old)
    guard step <= new.lastStep else {
      throw RunError.pastTheEnd(run: run, step: step, lastStep: new.lastStep)
    }
  }

  /// As many steps as are as many pictures; as many as were where no run comes to so many.
  private static func steps(_ steps: Int, ofBatches old: Int, inBatchesOf new: Int) -> Int {
    let (pictures, isTooMuch) = steps.multipliedReportingOverflow(by: old)
    return isTooMuch ? steps : Int((Double(pictures) / Double(new)).rounded())
  }

  /// Writes the new run's directory: it is there whole, or not at all.
  /// - Throws: `CheckpointError.notEmpty` if something is there already; `MemoryBankError`, `DurabilityError`.
  public func write(to directory: String) throws -> Result {
    var directory = directory
    while directory.count > 1, directory.last == "/" { directory.removeLast() }
    guard try !storage.exists(directory) else { throw CheckpointError.notEmpty(directory: directory) }
    let temporary = directory + ".forking"
    try storage.remove(temporary)
    do {
      let result = try write(temporary: temporary)
      try storage.rename(temporary, to: directory)
      try storage.synchronizeDirectory(parent(of: directory))
      return result
    } catch {
      try? storage.remove(temporary)
      throw error
    }
  }

  private func write(temporary: String) throws -> Result {
    // 1. A run of its own.
    var random = SystemRandomNumberGenerator()
    var manifest = checkpoint.manifest
    if let otherData {
      // Its pictures have other numbers: what is known of them by number is known no more.
      manifest.data = otherData
      manifest.undecodable = nil
    }
    let run = try RunDirectory.open(
      temporary, configuration: new.configuration.yaml(), data: manifest.data, initialWeights: initialWeights(),
      in: storage, random: &random)
    let step = (old: manifest.step, new: new.step(of: manifest.step, in: old))
    var lost = otherData == nil ? try RunDirectory.lostPictures(of: source, in: storage) : []
    for index in lost.indices { lost[index].step = new.step(of: lost[index].step, in: old) }
    if !lost.isEmpty { try run.lose(lost) }

    // 2. The rows that its memory begins with. When it is larger than the old one's, older rows are seeded.
    manifest.floor = new.floor(manifest.floor, rows: manifest.rows, memoryWas: old.configuration.memorySize)
    let window = MemoryWindow(size: new.configuration.memorySize, rows: manifest.rows, floor: manifest.floor)
    manifest.oldestRow = window.stored.lowerBound
    let rows = try RowStore(
      storage: run.storage, directory: run.memoryPath,
      layout: new.extentLayout(run: run.run),
      window: MemoryWindow(size: window.size, rows: manifest.oldestRow, floor: manifest.oldestRow),
      digest: MemoryDigest(), cacheBytes: 0, keepsLedger: false)
    try checkpoint.withRows {
      let stored = try StoredRows(
        in: "\(source)/memory", shards: shards, layout: old.extentLayout(run: checkpoint.manifest.run),
        storage: storage)
      try rows.append(rows: window.stored, from: stored)
    }
    try rows.flush()

    // 3. The checkpoint, last: it names all of the above.
    let version = WeightsVersion.zero(new)
    let content = version.content(new)
    var words: [String] = []
    if let otherWeights {
      // The optimizer's moments stay 0, as they are at a run's beginning.
      try checkpoint.load(CheckpointContent(student: content.student, teacher: content.teacher, optimizer: []))
      words = try version.replaceWeights(by: otherWeights.network, new)
      manifest.optimizer.steps = version.optimizer.steps
      manifest.changes.append(
        ConfigurationChange(
          step: step.new, key: ConfigurationChange.weightsKey, from: "\(manifest.student)",
          to: "\(version.student.digest)"))
      (manifest.student, manifest.teacher) = (version.student.digest, version.teacher.digest)
    } else {
      try checkpoint.load(content)
    }
    let differences = new.configuration.differences(from: old.configuration)
    manifest.step = step.new
    manifest.unaudited = manifest.unaudited?.mapValues { new.step(of: $0, in: old) }
    manifest.run = run.run
    manifest.incarnation = 0
    manifest.weightsOnly = nil
    manifest.epoch = new.epoch(ofStep: manifest.step)
    manifest.configuration = new.configuration.yaml()
    manifest.changes += differences.map {
      ConfigurationChange(step: manifest.step, key: $0.name, from: $0.saved, to: $0.given)
    }
    if let otherData {
      // From here on rows are of other pictures than those before.
      manifest.changes.append(
        ConfigurationChange(
          step: manifest.step, key: ConfigurationChange.dataKey, from: "\(checkpoint.manifest.data.digest)",
          to: "\(otherData.digest)"))
    }
    try run.checkpoints().write(content, manifest)
    let change = otherData.map { _ in
      DataChange(
        pictures: (old.pictures, new.pictures), stepsPerEpoch: (old.stepsPerEpoch, new.stepsPerEpoch),
        lastStep: (old.lastStep, new.lastStep))
    }
    return Result(
      step: step.old, newStep: step.new, lastStep: new.lastStep,
      learningRates: (old.learningRate[step.old], new.learningRate[step.new]), rows: window.stored.count,
      differences: differences, data: change, weights: words)
  }

  /// As a new run would be said to begin with the file, so that the same `--init` may be given to it.
  private func initialWeights() throws -> RunDirectory.InitialWeights? {
    guard let otherWeights else { return nil }
    let weights = try otherWeights.network.weights(new.layout, new.statisticsLayout, seed: new.configuration.seed)
    return RunDirectory.InitialWeights(file: otherWeights.file, parameters: weights.parameters.digest)
  }
}

extension WeightsVersion {
  /// Puts a file's weights in the place of the student's and the teacher's; their heads stay, unless the file has one.
  /// - Returns: how they were made of it, for people.
  fileprivate func replaceWeights(by network: PretrainedNetwork, _ definition: RunDefinition) throws -> [String] {
    var words: [String] = []
    for (parameters, statistics) in [(student, studentStatistics), (teacher, teacherStatistics)] {
      words = try network.replace(
        parameters, statistics, definition.layout, definition.statisticsLayout,
        headBefore: "The heads are the old run's.")
    }
    return words
  }
}
