import Durability
import Numerics

/// The directory of a run, owned by one coordinator at a time.
///
///     config.yaml          the configuration that it was started with
///     run.json             its identity and data set, and the file that its first weights are of
///     incarnation.json     how often a coordinator has started on it
///     quarantine.json      hosts that gave wrong results, if there are any
///     lost_pictures.json   pictures that could not be read any more, and from which steps on, if there are any
///     coordinator.lock     locked by the coordinator that runs, whose process number it holds
///     train.lock           locked by the process that starts the coordinator again, if there is one
///     checkpoints/  memory/  metrics.jsonl  coordinator.log
///     evaluations/         features that evaluations keep for the next one; may be removed at any time
public struct RunDirectory: Sendable {
  public let path: String
  /// 128 random bits made with the directory.
  public let run: Digest
  /// The data set that it was started on.
  public let data: DataRecord
  /// The weights of a file that it was started with; nil if its weights were drawn.
  public let initialWeights: InitialWeights?
  /// For everything in it: changes nothing once the lock is lost.
  public let storage: any Storage
  private let lock: RunLock

  public var checkpointsPath: String { "\(path)/checkpoints" }
  public var memoryPath: String { "\(path)/memory" }
  public var metricsPath: String { "\(path)/metrics.jsonl" }
  public var evaluationsPath: String { "\(path)/evaluations.jsonl" }

  public static let evaluationsFolder = "evaluations"
  public static let lockFile = "coordinator.lock"
  public static let supervisorLockFile = "train.lock"
  /// What a run that is trained in the background says; begun before there is a run.
  public static let supervisorLogFile = "train.log"

  static let formatVersion = 1
  static let sizeAtMost = 1 << 20

  /// Who a run is.
  struct RunRecord: Codable {
    var formatVersion = RunDirectory.formatVersion
    var run: Digest
    var data: DataRecord
    var initialWeights: InitialWeights?
  }

  /// Weights that were not drawn.
  public struct InitialWeights: Codable, Hashable, Sendable {
    /// As it was given.
    public var file: String
    /// Of what was made of it: student and teacher.
    public var parameters: Digest

    public init(file: String, parameters: Digest) {
      self.file = file
      self.parameters = parameters
    }
  }

  private struct IncarnationRecord: Codable {
    var formatVersion = RunDirectory.formatVersion
    var incarnation: UInt64
    /// Random, so that two starts that took the same number do not look alike.
    var start: Digest?
  }
}

// MARK: - Opening

extension RunDirectory {
  /// Takes a run directory for a coordinator: makes it if it is not there or empty, else resumes it.
  ///
  /// - Parameters:
  ///   - configuration: of a new run, as a recipe; kept in config.yaml.
  ///   - data: the data set at hand.
  ///   - initialWeights: of a new run; nil if they are drawn.
  ///   - random: where a new run's identity comes from.
  /// - Throws: `DurabilityError.locked` if another coordinator has it; `CheckpointError.otherData` if it was started on
  ///   another data set; `.notARun`, `.damaged`, `.newerFormat`.
  public static func open(
    _ path: String, configuration: String, data: DataRecord, initialWeights: InitialWeights? = nil,
    in storage: any Storage, random: inout some RandomNumberGenerator
  ) throws -> RunDirectory {
    try storage.makeDurableDirectory(path)
    let lock = RunLock(
      try storage.lock("\(path)/\(lockFile)"), record: "\(path)/incarnation.json", in: storage)
    let storage = LockedStorage(storage, while: lock)
    let recordPath = "\(path)/run.json"
    if try !storage.exists(recordPath) {
      // A crash before run.json was there leaves only these: nothing had been sent or computed.
      let own = [lockFile, supervisorLogFile, "run.json.tmp", "config.yaml", "config.yaml.tmp"]
      guard try storage.list(path).allSatisfy(own.contains) else { throw CheckpointError.notARun(directory: path) }
      try storage.writeAtomically(configuration.utf8, to: "\(path)/config.yaml")
      let record = RunRecord(
        run: Digest(high: random.next(), low: random.next()), data: data, initialWeights: initialWeights)
      try storage.writeAtomically(SealedJSON.bytes(of: record), to: recordPath)
    }
    let record = try identity(of: path, in: storage)
    guard record.data == data else {
      throw CheckpointError.otherData(run: path, saved: record.data, given: data)
    }
    return RunDirectory(
      path: path, run: record.run, data: record.data, initialWeights: record.initialWeights, storage: storage,
      lock: lock)
  }

  /// Whether there is a run in a directory: `open` would resume it.
  public static func isRun(_ path: String, in storage: any Storage) throws -> Bool {
    try storage.exists("\(path)/run.json")
  }

  /// The data set that a run was started on, read without taking its lock; nil if there is no run.
  /// - Throws: `CheckpointError.damagedRecord`, `.newerFormat`; `DurabilityError`.
  public static func data(of path: String, in storage: any Storage) throws -> DataRecord? {
    try isRun(path, in: storage) ? identity(of: path, in: storage).data : nil
  }

  /// The configuration that a run was started with, read without taking its lock.
  /// - Throws: `CheckpointError.notARun`; `DurabilityError`.
  public static func configuration(of path: String, in storage: any Storage) throws -> String {
    guard try isRun(path, in: storage) else { throw CheckpointError.notARun(directory: path) }
    return String(decoding: try storage.readWhole("\(path)/config.yaml", limit: sizeAtMost), as: UTF8.self)
  }
}

// MARK: - Looking at a run that may be another process's

extension RunDirectory {
  /// The configuration in force: that of the newest checkpoint whose manifest can be read, else the one that the run
  /// was started with.
  /// - Throws: `CheckpointError.notARun`; `DurabilityError`.
  public static func newestConfiguration(of path: String, in storage: any Storage) throws -> String {
    try newestManifest(of: path, in: storage)?.configuration ?? configuration(of: path, in: storage)
  }

  /// The manifest of the newest checkpoint where it can be read; nil if there is none.
  /// - Throws: `CheckpointError.notARun`; `DurabilityError`.
  public static func newestManifest(of path: String, in storage: any Storage) throws -> Manifest? {
    guard let checkpoints = try checkpoints(of: path, in: storage) else { return nil }
    return try checkpoints.steps().reversed().lazy
      .compactMap { try? checkpoints.checkpoint(ofStep: $0).manifest }.first
  }

  /// The checkpoint of a step, every byte of which was compared with its digest; nil: the newest whole one.
  /// - Throws: `CheckpointError.notARun`, `.noCheckpoint`, `.noSuchStep`, `.damaged`, `.newerFormat`.
  public static func checkpoint(of path: String, step: Int?, in storage: any Storage) throws -> Checkpoint {
    guard let checkpoints = try checkpoints(of: path, in: storage) else {
      throw CheckpointError.noCheckpoint(directory: path)
    }
    if let step {
      let checkpoint = try checkpoints.checkpoint(ofStep: step)
      try checkpoint.verify()
      return checkpoint
    }
    let (newest, damaged) = try checkpoints.newestWhole()
    guard let newest else { throw damaged.first ?? CheckpointError.noCheckpoint(directory: path) }
    return newest
  }

  static func identity(of path: String, in storage: any Storage) throws -> RunRecord {
    let file = "\(path)/run.json"
    return try record(RunRecord.self, in: file, of: storage)
  }

  /// A record of the run itself, which no other can stand in for.
  private static func record<Record: Decodable>(
    _ type: Record.Type, in file: String, of storage: any Storage
  ) throws -> Record {
    do {
      return try SealedJSON.value(
        type, from: try storage.readWhole(file, limit: sizeAtMost), file: file, version: formatVersion)
    } catch CheckpointError.damaged(_, _, let reason) {
      throw CheckpointError.damagedRecord(file: file, reason: reason)
    }
  }

  /// Nil if there is none yet: looking must not make one.
  public static func checkpoints(of path: String, in storage: any Storage) throws -> CheckpointDirectory? {
    guard try isRun(path, in: storage) else { throw CheckpointError.notARun(directory: path) }
    let checkpoints = "\(path)/checkpoints"
    return try storage.exists(checkpoints) ? CheckpointDirectory(checkpoints, in: storage) : nil
  }
}

// MARK: - Owning

extension RunDirectory {
  /// Adds one to the incarnation, durably: the number may be used in messages once this returns, and no start before
  /// or after has it. From then on a start that the lock did not keep out ends this one.
  public func nextIncarnation() throws -> UInt64 {
    try verifyLock()
    let file = "\(path)/incarnation.json"
    var record = IncarnationRecord(incarnation: 0)
    if try storage.exists(file) {
      record = try Self.record(IncarnationRecord.self, in: file, of: storage)
    }
    let (next, overflow) = record.incarnation.addingReportingOverflow(1)
    guard !overflow else {
      throw CheckpointError.damagedRecord(file: file, reason: "has the impossible incarnation \(record.incarnation)")
    }
    record.incarnation = next
    record.start = Digest(high: .random(in: 0 ... .max), low: .random(in: 0 ... .max))
    let bytes = Array(try SealedJSON.bytes(of: record))
    try lock.replaceRecord(by: bytes) { try storage.writeAtomically(bytes, to: file) }
    return record.incarnation
  }

  /// Throws a `DurabilityError` with `isLostLock` if this process can no longer be sure that it is the only coordinator:
  /// stop then.
  public func verifyLock() throws { try lock.verify() }

  /// Lets another coordinator have the directory; nothing may be written to it any more.
  public func release() { lock.release() }

  /// Throws `CheckpointError.otherRun` if a checkpoint in this directory is not of this run.
  public func check(_ checkpoint: Checkpoint) throws {
    guard checkpoint.manifest.run == run else {
      throw CheckpointError.otherRun(
        file: "\(checkpoint.path)/\(Checkpoint.manifestFile)", found: "\(checkpoint.manifest.run)", expected: "\(run)")
    }
  }

  public func checkpoints() throws -> CheckpointDirectory { try CheckpointDirectory(checkpointsPath, in: storage) }
}
