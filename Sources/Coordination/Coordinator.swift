import Messages
import Numerics
import Slices

/// Who does what next, from events and time alone: the pure state machine of a run.
///
/// It has no socket, clock, thread or file. The process around it gives it each event with the time, in any order in
/// which they happen, and carries out the effects in the order in which they are returned. The same events at the same
/// times give the same effects, always.
///
///     var coordinator = Coordinator(settings, resuming: version, durableStep: 400, at: now)
///     for effect in coordinator.handle(.tick, at: now) { ... }
///
/// A step goes from `computing` (its slices are leased, results are granted a push, accepted) to `updating` (every
/// slice is in), as a rule over `reducing` where there are many hosts, to the next step. What stops a run leads through `concluding`, where the newest version of the weights
/// becomes durable, to `stopped`.
public struct Coordinator: Sendable {
  /// What the coordinator is about.
  enum Phase: Hashable, Sendable {
    /// Slices of the step are leased.
    case computing
    /// Every slice is accepted; gradients that stayed with workers are added up.
    case reducing
    /// Every slice is accepted and added; the process works out the next weights. With them the run ends, if there is a reason.
    case updating(then: StopReason?)
    /// No more work: the newest weights are to become durable, then it stops.
    case concluding(Conclusion)
    /// The last step is durable; workers were told and say goodbye until then.
    case leaving(until: Instant)
    case stopped
  }

  struct Conclusion: Hashable, Sendable {
    let reason: StopReason
    /// After some tries a checkpoint that cannot be written does not keep the process: a run that reached its end waits for
    /// its disk, unless it is asked to leave.
    var givesUp: Bool
    /// Failed tries at the last checkpoint.
    var failures = 0

    init(_ reason: StopReason, givesUp: Bool = false) {
      self.reason = reason
      self.givesUp = givesUp || reason != .finished
    }
  }

  public let settings: CoordinatorSettings

  var phase = Phase.computing
  /// The newest version of weights and memory; its `step` is the one that is computed.
  var version: VersionIdentity
  /// The time of the last event: a clock that steps back is held here.
  var now: Instant

  // MARK: Peers

  var peers = PeerTable()
  var offenders = OffenderTable()
  var logBudget = LogBudget()
  /// What passes by itself: rows that nobody gives just now, as a rule.
  var givenBack = GatheredLines("leases were given back for now")

  // MARK: The step

  var leases = LeaseTable()
  /// Before this no time ends that `expire` looks at.
  var nothingExpiresBefore = Instant(nanoseconds: 0)
  var current: StepState

  // MARK: The run

  /// What workers' probes must be; nil until the first worker where this machine has none of its own.
  public internal(set) var probe: Digest?
  var hosts: HostTable
  var exchange = Exchange()
  var pictures: PictureBoard
  var checkpoints: CheckpointSchedule
  var evaluations: EvaluationBoard
  /// Who holds the memory's extents; nil when the coordinator alone does.
  var board: ShardBoard?
  var counts = Counts()

  /// A coordinator that goes on from `version`.
  ///
  /// - Parameters:
  ///   - version: the weights to go on from: those of the newest whole checkpoint, or new ones of step 0.
  ///   - durableStep: the step of that checkpoint; nil when there is none.
  ///   - memory: what is known of extents and shards; of use only with `settings.memory`.
  ///   - now: the time.
  /// - Precondition: at least one slice, `version.step` within the run, checkpoint cadences above zero: the
  ///   configuration has been checked.
  public init(
    _ settings: CoordinatorSettings, resuming version: VersionIdentity, durableStep: Int?,
    memory: ResumedMemory = ResumedMemory(), at now: Instant
  ) {
    invariant(settings.shape.slices >= 1, "a step has slices")
    invariant(0...settings.lastStep ~= version.step, "step \(version.step) of \(settings.lastStep)")
    invariant(durableStep ?? version.step <= version.step, "a checkpoint of the future")
    self.settings = settings
    self.version = version
    self.now = now
    probe = settings.compatibility.probe
    hosts = HostTable(quarantined: settings.audits.quarantined, unaudited: settings.audits.unaudited)
    pictures = PictureBoard(settings.pictures, at: now)
    checkpoints = CheckpointSchedule(settings.checkpoints, durableStep: durableStep, at: now)
    evaluations = EvaluationBoard(settings.evaluation, resuming: version.step, lastStep: settings.lastStep)
    board = settings.memory.map { ShardBoard($0, resuming: memory, at: now) }
    current = StepState(of: SliceTree(count: settings.shape.slices), without: pictures.lost(in: version.step))
    if version.step == settings.lastStep {
      phase = .concluding(Conclusion(.finished))
    } else if let why = tooManyPassedOver {
      // What ended the run before has not become better.
      phase = .concluding(Conclusion(.permanent(why)))
    }
  }

  /// The step that is computed or updated.
  public var step: Int { version.step }

  public var tree: SliceTree { SliceTree(count: settings.shape.slices) }

  /// Takes one event in, and says what to do about it, in order.
  ///
  /// - Parameter time: the time of the event; one before the last event's is taken as the last event's.
  /// - Complexity: O(leases + peers) with small factors, and O(log slices) for each slice that is leased or accepted;
  ///   with more than one audit open, so much for each of them.
  public mutating func handle(_ event: Event, at time: Instant) -> [Effect] {
    now = max(now, time)
    var effects: [Effect] = []
    guard phase != .stopped else { return effects }
    switch event {
    case .message(let message, let sender, let origin): receive(message, from: sender, origin, &effects)
    case .disconnected(let peer): disconnected(peer, &effects)
    case .shardMessage(let message, let sender): receive(message, from: sender, &effects)
    case .extentSealed(let extent): board?.sealed(extent)
    case .rowsNeeded(let oldest, let settled): board?.needed(from: oldest, settled: settled)
    case .ledgerWritten(let number, let failure):
      let (time, failure) = (now, failure.map(shortened))
      board?.ledgerWritten(number, failure: failure, at: time, &effects)
    case .extentFetched(let index, let failure):
      let failure = failure.map(shortened)
      board?.fetched(index, failure: failure, at: now, &effects)
    case .probed(let address, let failure): probed(address, failure: failure.map(shortened), &effects)
    case .malformed(let peer?, let reason):
      if !offenders.isIgnored(peer) { offend(peer, reason, &effects) }
    case .malformed(nil, let reason):
      counts.malformed += 1
      log(.warning, .badMessages, about: nil, shortened(reason), &effects)
    case .pushProgressed(let lease): pushProgressed(lease)
    case .pushArrived(let lease, let outcome): pushArrived(lease, outcome, &effects)
    case .updateFinished(let updated, let isHashed): updateFinished(updated, isHashed: isHashed, &effects)
    case .checkpointFinished(let step, let failure): checkpointFinished(step, failure: failure, &effects)
    case .recomputed(let finished, let notFinite): recomputed(finished, notFinite: notFinite, &effects)
    case .recomputationFailed(let step, let node, let reason):
      recomputationFailed(of: node, in: step, reason: reason, &effects)
    case .sumArrived(let sum): sumArrived(sum, &effects)
    case .gradientUnavailable(let lost): gradientUnavailable(lost, &effects)
    case .pictureExamined(let picture, let verdict): pictureExamined(picture, verdict, &effects)
    case .picturesLost(let pictures, let reason, let isMet):
      picturesLost(pictures, reason: reason, isMet: isMet, &effects)
    case .tick: break
    case .stopRequested: stopRequested(&effects)
    }
    // Whatever happened, time has passed, and something may have become possible.
    expire(&effects)
    if let line = givenBack.rest(at: now.sinceStart) { effects.append(.log(.warning, line)) }
    requestRecomputations(&effects)
    examinePictures(&effects)
    watchDeliveries(&effects)
    watchEvaluation(&effects)
    grant(&effects)
    giveUpReduction(&effects)
    planMemory(&effects)
    writeCheckpointIfDue(&effects)
    conclude(&effects)
    probeWorkers(&effects)
    leaseSlices(&effects)
    askForEvaluation(&effects)
    sayWhatWasLeftOut(&effects)
    return effects
  }
}
