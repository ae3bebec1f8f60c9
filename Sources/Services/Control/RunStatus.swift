import Checkpoints
import Configuration
import Coordination
import Durability
import Foundation
import Numerics
import Runs
import Telemetry
import Training

/// What `massl status` shows: the state machine's view, with what only the process or the run directory knows.
///
/// As JSON it is one flat object with names in snake case; what is not known is null.
public struct RunStatus: Codable, Sendable {
  public struct Memory: Codable, Sendable {
    /// Rows that it has room for.
    public var size: Int
    /// Rows enqueued since the run began.
    public var rows: Int
  }

  public struct Digests: Codable, Sendable {
    public var student: String
    public var teacher: String
    public var memory: String
  }

  public var coordination: Status
  /// The run's identity.
  public var run: String
  /// As in a recipe: "avx512".
  public var computeClass: String
  /// As in a recipe: "fp32" or "bf16".
  public var precision: String
  /// What a worker's probe has to be; nil of a run that nobody coordinates.
  public var probe: String?
  /// The one that is running, from 1; the last once the run is done.
  public var epoch: Int
  public var epochs: Double
  /// Nil before the first step.
  public var loss: Double?
  /// The learning rate of the newest step.
  public var lr: Double?
  /// Of the newest step, as in `MetricsRecord`; nil where that has none.
  public var targetEntropy: Double?
  public var embeddingSpread: Double?
  public var chosenShare: Double?
  public var rowsCached: Int?
  public var rowsFetched: Int?
  public var rowWaitSeconds: Double?
  public var weightsSeconds: Double?
  public var reduceSeconds: Double?
  public var updateSeconds: Double?
  /// The newest; nil where nothing was evaluated yet.
  public var evaluation: EvaluationRecord?
  /// What people should look into: a run that seems to collapse.
  public var warning: String?
  /// After this step it is judged whether the run collapses, and before it once the memory is filled.
  public var collapseJudgedAfterStep: Int
  public var imagesPerSecond: Double?
  public var secondsLeft: Double?
  public var memory: Memory
  public var digests: Digests

  init(
    coordination: Status, run: String, definition: RunDefinition, probe: String? = nil, newest: MetricsRecord?,
    evaluation: EvaluationRecord?, isRunning: Bool,
    memory: Memory, digests: Digests
  ) {
    self.coordination = coordination
    self.run = run
    computeClass = definition.configuration.computeClass.rawValue
    precision = definition.configuration.precision.rawValue
    self.probe = probe
    epoch = definition.runningEpoch(afterStep: coordination.step)
    epochs = definition.configuration.epochs
    loss = newest.flatMap { $0.loss.isFinite ? $0.loss : nil }
    lr = newest?.lr
    targetEntropy = newest.flatMap { $0.targetEntropy.isFinite ? $0.targetEntropy : nil }
    (embeddingSpread, chosenShare) = (newest?.embeddingSpread, newest?.chosenShare)
    (rowsCached, rowsFetched, rowWaitSeconds) = (newest?.rowsCached, newest?.rowsFetched, newest?.rowWaitSeconds)
    (weightsSeconds, reduceSeconds) = (newest?.weightsSeconds, newest?.reduceSeconds)
    updateSeconds = newest?.updateSeconds
    self.evaluation = evaluation
    warning = newest?.warning
    collapseJudgedAfterStep = CollapseWatch.judges(afterStepsOf: definition.learningRate.warmUpSteps)
    imagesPerSecond = isRunning ? newest?.imagesPerSecond : nil
    secondsLeft = imagesPerSecond.flatMap { definition.secondsLeft(afterStep: coordination.step, imagesPerSecond: $0) }
    self.memory = memory
    self.digests = digests
  }
}

// MARK: - As JSON

extension RunStatus {
  private enum CodingKeys: String, CodingKey {
    case run, computeClass, precision, probe, epoch, epochs, loss, lr, targetEntropy, embeddingSpread, chosenShare,
      rowsCached,
      rowsFetched,
      rowWaitSeconds, weightsSeconds, reduceSeconds, updateSeconds, evaluation, warning,
      collapseJudgedAfterStep
    case imagesPerSecond, secondsLeft, memory, digests
  }

  public init(from decoder: any Decoder) throws {
    coordination = try Status(from: decoder)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    run = try container.decode(String.self, forKey: .run)
    computeClass = try container.decode(String.self, forKey: .computeClass)
    // A coordinator that does not say it knows no other.
    precision = try container.decodeIfPresent(String.self, forKey: .precision) ?? PrecisionName.fp32.rawValue
    probe = try container.decodeIfPresent(String.self, forKey: .probe)
    epoch = try container.decode(Int.self, forKey: .epoch)
    epochs = try container.decode(Double.self, forKey: .epochs)
    loss = try container.decodeIfPresent(Double.self, forKey: .loss)
    lr = try container.decodeIfPresent(Double.self, forKey: .lr)
    targetEntropy = try container.decodeIfPresent(Double.self, forKey: .targetEntropy)
    embeddingSpread = try container.decodeIfPresent(Double.self, forKey: .embeddingSpread)
    chosenShare = try container.decodeIfPresent(Double.self, forKey: .chosenShare)
    rowsCached = try container.decodeIfPresent(Int.self, forKey: .rowsCached)
    rowsFetched = try container.decodeIfPresent(Int.self, forKey: .rowsFetched)
    rowWaitSeconds = try container.decodeIfPresent(Double.self, forKey: .rowWaitSeconds)
    weightsSeconds = try container.decodeIfPresent(Double.self, forKey: .weightsSeconds)
    reduceSeconds = try container.decodeIfPresent(Double.self, forKey: .reduceSeconds)
    updateSeconds = try container.decodeIfPresent(Double.self, forKey: .updateSeconds)
    evaluation = try container.decodeIfPresent(EvaluationRecord.self, forKey: .evaluation)
    warning = try container.decodeIfPresent(String.self, forKey: .warning)
    collapseJudgedAfterStep = try container.decode(Int.self, forKey: .collapseJudgedAfterStep)
    imagesPerSecond = try container.decodeIfPresent(Double.self, forKey: .imagesPerSecond)
    secondsLeft = try container.decodeIfPresent(Double.self, forKey: .secondsLeft)
    memory = try container.decode(Memory.self, forKey: .memory)
    digests = try container.decode(Digests.self, forKey: .digests)
  }

  public func encode(to encoder: any Encoder) throws {
    try coordination.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(run, forKey: .run)
    try container.encode(computeClass, forKey: .computeClass)
    try container.encode(precision, forKey: .precision)
    try container.encode(probe, forKey: .probe)
    try container.encode(epoch, forKey: .epoch)
    try container.encode(epochs, forKey: .epochs)
    try container.encode(loss, forKey: .loss)
    try container.encode(lr, forKey: .lr)
    try container.encode(targetEntropy, forKey: .targetEntropy)
    try container.encode(embeddingSpread, forKey: .embeddingSpread)
    try container.encode(chosenShare, forKey: .chosenShare)
    try container.encode(rowsCached, forKey: .rowsCached)
    try container.encode(rowsFetched, forKey: .rowsFetched)
    try container.encode(rowWaitSeconds, forKey: .rowWaitSeconds)
    try container.encode(weightsSeconds, forKey: .weightsSeconds)
    try container.encode(reduceSeconds, forKey: .reduceSeconds)
    try container.encode(updateSeconds, forKey: .updateSeconds)
    try container.encode(evaluation, forKey: .evaluation)
    try container.encode(warning, forKey: .warning)
    try container.encode(collapseJudgedAfterStep, forKey: .collapseJudgedAfterStep)
    try container.encode(imagesPerSecond, forKey: .imagesPerSecond)
    try container.encode(secondsLeft, forKey: .secondsLeft)
    try container.encode(memory, forKey: .memory)
    try container.encode(digests, forKey: .digests)
  }
}

// MARK: - Of a run that nobody coordinates

extension RunStatus {
  /// What the newest whole checkpoint says, for a run without a coordinator.
  /// - Throws: `CheckpointError.notARun`, `.noCheckpoint`, or what is wrong with the newest checkpoint.
  public init(ofStoppedRunAt path: String, in storage: any Storage) throws {
    let manifest = try RunDirectory.checkpoint(of: path, step: nil, in: storage).manifest
    let definition = try RunDefinition(of: manifest)
    try self.init(
      coordination: Status(
        step: manifest.step, lastStep: definition.lastStep, phase: "not running", incarnation: manifest.incarnation,
        slices: definition.slices, durableStep: manifest.step,
        undecodablePictures: manifest.undecodable?.count ?? 0,
        lostPictures: RunDirectory.lostPictures(of: path, in: storage).count { $0.step <= manifest.step },
        quarantined: RunDirectory.quarantine(of: path, in: storage).hosts),
      run: "\(manifest.run)", definition: definition, newest: MetricsRecord.newest(inFile: "\(path)/metrics.jsonl"),
      evaluation: EvaluationRecord.newest(inFile: "\(path)/evaluations.jsonl", upTo: manifest.step),
      isRunning: false, memory: Memory(size: definition.configuration.memorySize, rows: manifest.rows),
      digests: Digests(
        student: "\(manifest.student)", teacher: "\(manifest.teacher)", memory: "\(manifest.memory)"))
  }
}
