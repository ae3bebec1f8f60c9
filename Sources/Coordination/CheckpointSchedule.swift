import Numerics

/// When a run's checkpoints are due.
public struct CheckpointCadence: Hashable, Sendable {
  /// A checkpoint at every multiple of this step; nil for none.
  public var everySteps: Int?
  /// The same, for checkpoints that are kept for good; nil for none.
  public var keepEverySteps: Int?
  /// A checkpoint when the one before was begun so long ago, sooner at first; nil for none.
  public var every: Duration?

  public init(everySteps: Int? = nil, keepEverySteps: Int? = nil, every: Duration? = nil) {
    self.everySteps = everySteps
    self.keepEverySteps = keepEverySteps
    self.every = every
  }
}

/// Which checkpoint is durable, which is being written, and when the next one is due.
struct CheckpointSchedule: Sendable {
  private let cadence: CheckpointCadence
  /// The newest checkpoint that is durable.
  private(set) var durableStep: Int?
  /// The step of the checkpoint that is being written.
  private(set) var inFlight: Int?
  /// When the last checkpoint was begun, or the coordinator started.
  private var begun: Instant
  /// How long the last one took.
  private var took = Duration.zero
  /// When this process had its first step done.
  private var firstStepDone: Instant?
  /// A checkpoint came due and has not been begun.
  private var isOwed = false
  /// After a failure, when to try again.
  private var notBefore: Instant

  init(_ cadence: CheckpointCadence, durableStep: Int?, at now: Instant) {
    invariant(cadence.everySteps ?? 1 >= 1, "a checkpoint every 0 steps")
    invariant(cadence.every ?? .seconds(1) > .zero, "a checkpoint every 0 seconds")
    self.cadence = cadence
    self.durableStep = durableStep
    begun = now
    notBefore = now
  }

  /// Whether one may be begun: one at a time.
  func mayBegin(at now: Instant) -> Bool { inFlight == nil && now >= notBefore }

  /// Whether one of this step is due, which is computed.
  func isDue(ofStep step: Int, at now: Instant) -> Bool { durableStep != step && (isOwed || isTime(at: now)) }

  /// Whether so much would be lost that one is due by time.
  private func isTime(at now: Instant) -> Bool {
    // Before its first step this process has done nothing.
    guard let every = cadence.every, let firstStepDone else { return false }
    let pause = max(
      CoordinationLimits.firstCheckpoint, (now - firstStepDone) / CoordinationLimits.checkpointShare,
      took * CoordinationLimits.checkpointCost)
    return now - begun >= min(every, pause)
  }
}

// MARK: - What happens

extension CheckpointSchedule {
  /// The weights are of this step from now on.
  mutating func reached(step: Int, at now: Instant) {
    firstStepDone = firstStepDone ?? now
    for every in [cadence.everySteps, cadence.keepEverySteps].compactMap(\.self) where step.isMultiple(of: every) {
      isOwed = true
    }
  }

  mutating func begin(step: Int, at now: Instant) {
    inFlight = step
    begun = now
    isOwed = false
  }

  mutating func succeeded(step: Int, at now: Instant) {
    end(step)
    took = now - begun
    durableStep = step
  }

  /// It is owed, and tried again after a while.
  mutating func failed(step: Int, at now: Instant) {
    end(step)
    isOwed = true
    notBefore = now + CoordinationLimits.checkpointRetry
  }

  private mutating func end(_ step: Int) {
    invariant(inFlight == step, "a checkpoint of step \(step) finished that was not begun")
    inFlight = nil
  }
}
