import Checkpoints
import Configuration
import Coordination
import Durability
import Glibc
import MemoryBank
import Messages
import Numerics
import Runs
import Synchronization
import Telemetry
import Threads
import Training
import Vision
import Wire

/// A run's coordinator: carries out what the state machine says, with sockets, files and threads.
///
///     let service = try CoordinatorService(options) { level, text in ... }
///     let reason = service.run { report in ... }    // blocks; requestStop() from any thread ends it
///
/// Threads beside the caller's: the control socket's, the bulk socket's, the update's, the checkpoints', the judge's, the
/// reducer's, and two for the memory's extents. Any of them gives the state machine its events, one at a time; carrying
/// out an effect never waits.
public final class CoordinatorService: Sendable {
  /// How a run of this process ended.
  public enum Outcome: Sendable, Equatable {
    /// The last step is done and checkpointed.
    case finished
    /// It was asked to stop; the last checkpoint is written.
    case requested
    /// A host was found wrong: opened again, the run goes on from before its first result that nobody compared.
    case rolledBack
  }

  /// In the run directory: the control socket's address, while a coordinator runs.
  public static let addressFile = "coordinator.address"
  /// Messages that may wait for the control socket: hundreds of workers' answers and leases.
  private static let controlOutbox = 4096
  private static let tick = Duration.milliseconds(100)
  /// Answers that found an asker's queue full are tried again so often.
  private static let bulkTick = Duration.milliseconds(20)

  /// What follows from the configuration in force and the data set.
  public let definition: RunDefinition
  public let directory: RunDirectory
  /// Updates done when this process started.
  public let resumedStep: Int
  public var incarnation: Incarnation { sender.incarnation }
  /// Where workers reach it, with the port that was chosen.
  public var endpoint: Endpoint { sockets.control.endpoint }

  let sockets: CoordinatorSockets
  let sender: Sender
  let weights: PublishedWeights
  let desk: PayloadReceiver
  let reduction: StepReduction
  let reducer: CoordinatorReducer
  let updates: CoordinatorUpdates
  let checkpoints: CoordinatorCheckpoints
  let recomputation: Recomputation
  let extents: CoordinatorExtents
  let pictures: CoordinatorPictures
  let probes: Probes
  let log: ServiceLog
  let outcome = BoundedQueue<StopReason>(capacity: 1)
  let control: Mutex<Control>
  private let rows: RowStore

  /// The state machine, and what its effects need.
  struct Control {
    var coordinator: Coordinator
    /// Nil before `run` and once it ends: messages are dropped.
    var thread: SocketThread?
    var newest: StepReport?
    var collapse: CollapseWatch
    /// The newest.
    var evaluation: EvaluationRecord?
    /// Takes each evaluation.
    var evaluated: (@Sendable (EvaluationRecord) -> Void)?
    var hasEnded = false
  }

  /// Opens the run, loads its newest checkpoint and listens; nobody is answered before `run`.
  ///
  /// - Parameter log: takes a line, from any thread.
  /// - Throws: `VisionError` of the data set; `CheckpointError`, `DurabilityError`, `MemoryBankError` of the run directory;
  ///   `ConfigurationError`, `RunError.pastTheEnd`; `WireError` of the sockets.
  public init(_ options: CoordinatorOptions, storage: any Storage = FileStorage(), log: @escaping ServiceLog) throws {
    let data = try DataSet(root: options.data, ofRunAt: options.run, in: storage)
    if let remark = data.remark { log(.info, remark) }
    let resumed = try ResumedRun(options, data: data, storage: storage, log: log)
    self.log = log
    definition = resumed.definition
    rows = resumed.rows
    directory = resumed.directory
    if let error = DataSetIndex(ofRun: options.run, in: directory.storage).save(data) {
      log(.warning, "The next start lists \(options.data) again, for its index cannot be kept: \(error)")
    }
    resumedStep = resumed.version.step

    let payload = MemoryLayout<Float>.stride * definition.payloadCount(slices: definition.slices)
    sockets = try CoordinatorSockets(
      options, payloadBytes: CoordinationLimits.gradientsInFlight * payload, log: log)

    // The number is durable before a word is sent.
    let incarnation = Incarnation(try directory.nextIncarnation())
    sender = Sender(
      run: RunIdentity(directory.run), incarnation: incarnation, peer: PeerID(rawValue: UInt64.random(in: 1 ... .max)))
    try directory.storage.writeAtomically("\(sockets.control.endpoint)\n".utf8, to: directory.addressPath)

    weights = PublishedWeights(resumed.version)
    pictures = CoordinatorPictures(data, definition: definition, weights: weights, lost: resumed.lost.map(\.picture))
    desk = PayloadReceiver(gradientCount: definition.layout.count, floatsPerSlice: definition.floatsPerSlice)
    reduction = StepReduction(definition)
    reducer = CoordinatorReducer(definition, step: reduction) { [sockets, sender] address in
      try BulkClient(to: address, in: sockets.context, of: sender, security: options.shardSecurity)
    }
    updates = CoordinatorUpdates(definition: definition, rows: rows, weights: weights, log: log)
    checkpoints = CoordinatorCheckpoints(resumed: resumed, incarnation: incarnation, log: log)
    // A shard hears a peer over one connection: who asks besides is another.
    let shardClients = { [sockets, sender] in
      let asker = Sender(run: sender.run, incarnation: sender.incarnation, peer: .random())
      return SourceClients(
        context: sockets.context, sender: asker, coordinator: sockets.bulk.endpoint, security: options.shardSecurity)
    }
    probes = Probes(context: sockets.context, sender: sender, security: options.shardSecurity)
    recomputation = Recomputation(
      definition: definition, pictures: pictures, rows: rows, weights: weights, clients: shardClients(),
      computes: options.probe != nil)
    let configuration = definition.configuration
    if options.allowsMixed, configuration.auditRate > 0 {
      log(.warning, "No results are audited: with --allow-mixed right ones may differ.")
    }
    extents = CoordinatorExtents(
      rows: rows, clients: shardClients(), bytesPerSecond: configuration.memoryCopyRate, log: log)
    control = Mutex(
      Control(
        coordinator: Coordinator(
          CoordinatorSettings(
            resumed, of: data, options, incarnation: incarnation, bulkPort: sockets.bulk.endpoint.port),
          resuming: resumed.version.updated, durableStep: resumed.durableStep, memory: resumed.memory, at: .now),
        collapse: CollapseWatch(
          blockSize: configuration.blockSize, memorySize: configuration.memorySize, width: configuration.bottleneckDim,
          rateRises: definition.learningRate.warmUpSteps,
          warning: MetricsRecord.newest(inFile: "\(directory.path)/metrics.jsonl")?.warning),
        evaluation: EvaluationRecord.newest(inFile: directory.evaluationsPath, upTo: resumedStep)))
  }

  /// Coordinates until the run is done, was asked to stop, or cannot go on. May be called once.
  ///
  /// - Parameters:
  ///   - pulse: called some times a second while the sockets' threads move.
  ///   - record: takes a report a step, in the order of the steps, from one thread; the next step's update waits for it.
  ///   - evaluated: takes each evaluation, in the order of the steps; whatever else happens waits for it.
  /// - Throws: `RunFailure` when it cannot go on; `WireError` when the process is out of file descriptors.
  public func run(
    pulse: @escaping @Sendable () -> Void = {}, record: @escaping @Sendable (StepReport) -> Void,
    evaluated: @escaping @Sendable (EvaluationRecord) -> Void = { _ in }
  ) throws -> Outcome {
    control.withLock { $0.evaluated = evaluated }
    let pulse = CoordinatorPulse(pulse)
    updates.start(
      record: { [self] in record(noted($0)) },
      finish: { [self] result in
        switch result {
        case .success(let finished): handle(.updateFinished(finished.version.updated, isHashed: finished.isHashed))
        case .failure(let error): end(Self.reason(for: error))
        }
      })
    checkpoints.start(
      finish: { [self] step, failure in handle(.checkpointFinished(step: step, failure: failure)) },
      memory: { [self] in handle($0) },
      lose: { [self] reason in end(.retryable(reason)) })
    let holders = { @Sendable [self] first, count in
      control.withLock { $0.coordinator.holders(first: first, count: count) }
    }
    recomputation.start(holders: holders) { [self] event, restarts in
      handle(event) { recomputation.isCurrent(restarts) }
    }
    pictures.start { [self] in handle($0) }
    reducer.start { [self] in handle($0) }
    extents.start { [self] in handle($0) }
    let bulk = CoordinatorBulk(
      sender: sender, definition: definition, pictures: pictures, rows: rows, weights: weights, desk: desk,
      reduction: reduction, log: log,
      holders: holders, report: { [self] in handle($0) })
    let bulkThread = try SocketThread(
      named: "massl-bulk", owning: sockets.bulk, outboxCapacity: 1, tick: Self.bulkTick
    ) { [self] event, socket in
      bulk.handle(event, socket)
      switch event {
      case .tick: pulse.moves(.bulk)
      case .failed(let error): end(.failed("\(error)"))
      case .received, .undelivered: break
      }
    }
    // Under the lock, so that no event is handled before its answers have somewhere to go.
    let controlThread = try control.withLock { control in
      let thread = try SocketThread(
        named: "massl-control", owning: sockets.control, outboxCapacity: Self.controlOutbox, tick: Self.tick
      ) { [self] event, _ in
        receive(event)
        if case .tick = event { pulse.moves(.control) }
      }
      control.thread = thread
      return thread
    }

    let reason = outcome.next() ?? .requested
    updates.stop()
    saveNewest(after: reason)
    checkpoints.stop()
    recomputation.stop()
    reducer.stop()
    pictures.stop()
    extents.stop()
    // Last words are in the outbox: they leave before the thread ends.
    controlThread.stop()
    bulkThread.stop()
    control.withLock { $0.thread = nil }
    // Without the lock the file may be another coordinator's.
    if (try? directory.verifyLock()) != nil { unlink(directory.addressPath) }
    directory.release()
    switch reason {
    case .finished: return .finished
    case .requested: return .requested
    case .rollsBack: return .rolledBack
    case .failed(let why): throw RunFailure.failed(why)
    case .permanent(let why): throw RunFailure.permanent(why)
    case .retryable(let why): throw RunFailure.retryable(why)
    }
  }

  /// A step's report with what is known beside it; the newest from now on.
  private func noted(_ report: StepReport) -> StepReport {
    var report = report
    let change = control.withLock { control in
      report.record.undecodablePictures = control.coordinator.undecodablePictures.count
      report.record.lostPictures = control.coordinator.lostPictures.count
      let change = control.collapse.take(report.record)
      // Kept with the step, so that it stands in `status` after the run's end too.
      report.record.warning = control.collapse.warning
      control.newest = report
      return change
    }
    switch change {
    case .begins(let text): log(.warning, text)
    case .ends(let text): log(.info, text)
    case nil: break
    }
    return report
  }

  private static func reason(for error: any Error) -> StopReason {
    switch error {
    case RunError.notFinite: .permanent("\(error)")
    case ServiceError.noRoomForRows: .retryable("\(error)")
    case let error as DurabilityError where error.isLostLock || error.isOutOfDescriptors: .retryable("\(error)")
    default: .failed("\(error)")
    }
  }

  /// Where the state machine could not see to it: an update that failed leaves good weights behind.
  private func saveNewest(after reason: StopReason) {
    guard reason.failure != nil else { return }
    let version = weights.current
    let (status, learned) = control.withLock {
      (
        $0.coordinator.status(at: .now),
        CoordinatorCheckpoints.Learned(by: $0.coordinator, before: version.step)
      )
    }
    guard status.durableStep != version.step, status.checkpointInFlight != version.step else { return }
    checkpoints.write(later: version, learned)
  }

  /// Ends the run with a last checkpoint; from any thread, as often as one likes.
  public func requestStop() {
    updates.hurry()
    checkpoints.hurry()
    handle(.stopRequested)
  }
}

extension RunDirectory {
  fileprivate var addressPath: String { "\(path)/\(CoordinatorService.addressFile)" }
}
