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
/// Threads beside the caller's: the control socket's, the bulk socket's, the update's, the checkpoints', the judge's, and
/// two for the memory's extents. Any of them gives the state machine its events, one at a time; carrying out an effect
/// never waits.
public final class CoordinatorService: Sendable {
  /// How a run of this process ended.
  public enum Outcome: Sendable, Equatable {
    /// The last step is done and checkpointed.
    case finished
    /// It was asked to stop; the last checkpoint is written.
    case requested
    /// A host was found wrong: opened again, the run goes on from before its first result that nobody compared.
    case wentBack
  }

  /// In the run directory: the control socket's address, while a coordinator runs.
  public static let addressFile = "coordinator.address"
  /// Messages that may wait for the control socket: hundreds of workers' answers and leases.
  private static let controlOutbox = 4096
  private static let tick = Duration.milliseconds(100)
  /// Answers that found an asker's queue full are tried again so often.
  private static let bulkTick = Duration.milliseconds(20)

  /// What follows from the configuration in force and the data set.
  public let plan: RunPlan
  public let directory: RunDirectory
  /// Updates done when this process started.
  public let resumedStep: Int
  public let incarnation: Incarnation
  /// Where workers reach it, with the port that was chosen.
  public let endpoint: Endpoint

  private let context: Context
  private let controlSocket: RouterSocket
  private let bulkSocket: RouterSocket
  private let sender: Sender
  private let probe: Digest
  private let weights: PublishedWeights
  private let desk: PayloadReceiver
  private let updates: CoordinatorUpdates
  private let checkpoints: CoordinatorCheckpoints
  private let judge: CoordinatorJudge
  private let extents: CoordinatorExtents
  private let pictures: CoordinatorPictures
  private let rows: RowStore
  private let log: ServiceLog
  private let addressPath: String
  private let outcome = BoundedQueue<StopReason>(capacity: 1)
  private let control: Mutex<Control>

  /// The state machine, and what its effects need.
  private struct Control {
    var coordinator: Coordinator
    /// Nil before `run` and once it ends: messages are dropped.
    var thread: SocketThread?
    var newest: StepReport?
    var collapse: CollapseWatch
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
    plan = resumed.plan
    rows = resumed.rows
    directory = resumed.directory
    resumedStep = resumed.version.step

    context = try Context()
    controlSocket = try RouterSocket(
      in: context, listeningOn: options.listen, for: .control, security: options.security,
      connectionsAtMost: Self.controlConnections)
    endpoint = controlSocket.endpoint
    let bulkPort = options.listen.port == 0 || options.listen.port == 65_535 ? 0 : options.listen.port + 1
    bulkSocket = try Self.bulkSocket(in: context, options, port: bulkPort)
    for error in controlSocket.unbound + bulkSocket.unbound { log(.warning, "\(error)") }

    // The number is durable before a word is sent.
    incarnation = Incarnation(try directory.nextIncarnation())
    let run = RunIdentity(directory.run)
    probe = options.probe
    sender = Sender(run: run, incarnation: incarnation, peer: PeerID(rawValue: UInt64.random(in: 1 ... .max)))
    addressPath = "\(directory.path)/\(Self.addressFile)"
    try directory.storage.writeAtomically("\(endpoint)\n".utf8, to: addressPath)

    weights = PublishedWeights(resumed.version)
    pictures = CoordinatorPictures(data, plan: plan, weights: weights, lost: resumed.lost.map(\.picture))
    desk = PayloadReceiver(gradientCount: plan.layout.count, floatsPerSlice: plan.floatsPerSlice)
    updates = CoordinatorUpdates(plan: plan, rows: rows, weights: weights, log: log)
    checkpoints = CoordinatorCheckpoints(resumed: resumed, incarnation: incarnation, log: log)
    // A shard hears a peer over one connection: who asks besides is another.
    let shardClients = { [context, sender, bulkSocket] in
      let asker = Sender(run: sender.run, incarnation: sender.incarnation, peer: .random())
      return SourceClients(
        context: context, sender: asker, coordinator: bulkSocket.endpoint, security: options.shardSecurity)
    }
    judge = CoordinatorJudge(
      plan: plan, pictures: pictures, rows: rows, weights: weights, clients: shardClients())
    let configuration = plan.configuration
    if options.allowsMixed, configuration.auditRate > 0 {
      log(.warning, "No results are audited: with --allow-mixed right ones may differ.")
    }
    var settings = CoordinatorSettings(
      run: run, incarnation: incarnation, protocolVersion: WireLimits.protocolVersion, probe: options.probe,
      libraries: .loaded, allowsMixed: options.allowsMixed,
      welcome: Welcome(
        configuration: configuration.yaml(), bulkPort: bulkSocket.endpoint.port,
        data: DataIdentity(count: data.identity.count, digest: data.identity.digest),
        rows: min(resumed.version.rows, resumed.rowsOfAnyIncarnation)),
      slices: plan.slices, lastStep: plan.lastStep, gradientCount: plan.layout.count,
      floatsPerSlice: plan.floatsPerSlice, watchedSlots: SlotMarks.watched(of: configuration.memorySize),
      checkpointEverySteps: configuration.checkpointEverySteps == 0 ? nil : configuration.checkpointEverySteps,
      keepEverySteps: configuration.keepEverySteps == 0 ? nil : configuration.keepEverySteps,
      checkpointEvery: configuration.checkpointEveryMinutes == 0
        ? nil : .seconds(configuration.checkpointEveryMinutes * 60),
      pictureName: { data.path($0) }, pictures: { [plan] in plan.pictures(step: $0, slice: $1) })
    settings.peersAtMost = max(1, min(CoordinationLimits.peers, Self.controlConnections * 3 / 4))
    settings.audits = AuditSettings(
      rate: options.allowsMixed ? 0 : configuration.auditRate, seed: .random(in: 0 ... .max),
      goesBack: configuration.auditAction == .rollback,
      quarantined: resumed.quarantine.hosts.map { QuarantinedHost($0) }, unaudited: resumed.unaudited)
    settings.undecodable = resumed.undecodable
    settings.lost = resumed.lost.map { LostPicture(picture: $0.picture, step: $0.step) }
    let layout = rows.layout
    settings.memory = MemorySettings(
      size: configuration.memorySize, rowsPerExtent: layout.capacity, extentBytes: layout.fileSize,
      replicas: configuration.memoryReplicas, rowsPerStep: configuration.batchSize,
      forgetsLostRows: options.forgetsLostRows)
    extents = CoordinatorExtents(
      rows: rows, clients: shardClients(), bytesPerSecond: configuration.memoryCopyRate, log: log)
    control = Mutex(
      Control(
        coordinator: Coordinator(
          settings, resuming: resumed.version.updated, durableStep: resumed.durableStep, memory: resumed.memory,
          at: .now),
        collapse: CollapseWatch(
          blockSize: configuration.blockSize, memorySize: configuration.memorySize, width: configuration.bottleneckDim,
          rateRises: plan.learningRate.warmUpSteps,
          warning: MetricsRecord.newest(inFile: "\(directory.path)/metrics.jsonl")?.warning)))
  }

  /// A worker has one connection for control and two for bulk. Some of the places are for those that are told that there
  /// is none, and for whoever asks for the status.
  private static var controlConnections: Int { max(1, ProcessLimits.connections / 3) }

  /// Within a machine, where no firewall has to know the port, it may be any if another program has this one: a port
  /// that the system chose for the control socket may have any neighbour the next time.
  private static func bulkSocket(
    in context: Context, _ options: CoordinatorOptions, port: Int
  ) throws(WireError) -> RouterSocket {
    func socket(_ port: Int) throws(WireError) -> RouterSocket {
      try RouterSocket(
        in: context, listeningOn: options.listen.withPort(port), for: .bulk, security: options.security,
        connectionsAtMost: ProcessLimits.connections - controlConnections)
    }
    do {
      return try socket(port)
    } catch .addressInUse where options.listen.isLoopback {
      return try socket(0)
    }
  }

  /// Coordinates until the run is done, was asked to stop, or cannot go on. May be called once.
  ///
  /// - Parameter record: takes a report a step, in the order of the steps, from one thread; the next step's update waits
  ///   for it.
  /// - Throws: `RunFailure` when it cannot go on; `WireError` when the process is out of file descriptors.
  public func run(record: @escaping @Sendable (StepReport) -> Void) throws -> Outcome {
    updates.start(
      record: { [self] report in
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
        record(report)
      },
      finish: { [self] result in
        switch result {
        case .success(let version): handle(.updateFinished(version.updated))
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
    judge.start(holders: holders) { [self] event, restarts in handle(event) { judge.isCurrent(restarts) } }
    pictures.start { [self] in handle($0) }
    extents.start { [self] in handle($0) }
    let bulk = CoordinatorBulk(
      sender: sender, plan: plan, pictures: pictures, rows: rows, weights: weights, desk: desk, log: log,
      holders: holders, report: { [self] in handle($0) })
    let bulkThread = try SocketThread(
      named: "massl-bulk", owning: bulkSocket, outboxCapacity: 1, tick: Self.bulkTick
    ) { [self] event, socket in
      bulk.handle(event, socket)
      if case .failed(let error) = event { end(.failed("\(error)")) }
    }
    // Under the lock, so that no event is handled before its answers have somewhere to go.
    let controlThread = try control.withLock { control in
      let thread = try SocketThread(
        named: "massl-control", owning: controlSocket, outboxCapacity: Self.controlOutbox, tick: Self.tick
      ) { [self] event, _ in
        receive(event)
      }
      control.thread = thread
      return thread
    }

    let reason = outcome.next() ?? .requested
    updates.stop()
    saveNewest(after: reason)
    checkpoints.stop()
    judge.stop()
    pictures.stop()
    extents.stop()
    // Last words are in the outbox: they leave before the thread ends.
    controlThread.stop()
    bulkThread.stop()
    control.withLock { $0.thread = nil }
    // Without the lock the file may be another coordinator's.
    if (try? directory.verifyLock()) != nil { unlink(addressPath) }
    directory.release()
    switch reason {
    case .finished: return .finished
    case .requested: return .requested
    case .goesBack: return .wentBack
    case .failed(let why): throw RunFailure.failed(why)
    case .permanent(let why): throw RunFailure.permanent(why)
    case .retryable(let why): throw RunFailure.retryable(why)
    }
  }

  private static func reason(for error: any Error) -> StopReason {
    switch error {
    case RunError.notFinite: .permanent("\(error)")
    case ServiceError.noRoomForRows: .retryable("\(error)")
    case let error as DurabilityError where error.isLostLock || error.isOutOfDescriptors: .retryable("\(error)")
    default: .failed("\(error)")
    }
  }

  /// Ends the run with a last checkpoint; from any thread, as often as one likes.
  public func requestStop() {
    updates.hurry()
    checkpoints.hurry()
    handle(.stopRequested)
  }
}

// MARK: - Events

extension CoordinatorService {
  private func receive(_ event: SocketEvent) {
    switch event {
    case .received(.message(let incoming)):
      switch incoming.envelope.message {
      case .worker(let message): handle(.message(message, from: incoming.envelope.sender, origin: incoming.origin))
      case .shard(let message): handle(.shardMessage(message, from: incoming.envelope.sender))
      case .coordinator, .bulkRequest, .bulkReply:
        handle(.malformed(from: incoming.peer, reason: "not a worker's message"))
      }
    case .received(.malformed(let peer, let error, _)): handle(.malformed(from: peer, reason: error.description))
    case .received(.disconnected(let peer)): if let peer { handle(.disconnected(peer)) }
    case .undelivered: break
    case .tick:
      // One that lost its lock stops, though it may have nothing to write: workers would go on computing for it.
      do { try directory.verifyLock() } catch { return end(.retryable("\(error)")) }
      handle(.tick)
    case .failed(let error): end(.failed("The control socket failed: \(error)"))
    }
  }

  /// Gives the state machine an event and carries out what it says, in order: one event at a time.
  /// - Parameter isCurrent: whether it still is; asked when no other event is handled.
  private func handle(_ event: Event, if isCurrent: () -> Bool = { true }) {
    control.withLock { control in
      guard !control.hasEnded, isCurrent() else { return }
      for effect in control.coordinator.handle(event, at: .now) {
        carryOut(effect, &control)
        if control.hasEnded { return }
      }
    }
  }

  private func carryOut(_ effect: Effect, _ control: inout Control) {
    switch effect {
    case .send(let message, let peer): send(message, to: peer, control)
    case .sendStatus(let peer): send(.status(json: status(control).json()), to: peer, control)
    case .sendMemory(let peer):
      let status = control.coordinator.memoryStatus(at: .now)
      send(.memory(json: status?.json() ?? "{}"), to: peer, control)
    case .writeLedger(let number, let ledger): extents.add(.writeLedger(number: number, ledger))
    case .releaseExtents(let released): extents.add(.release(released))
    case .fetchExtent(let extent): extents.fetch(extent)
    case .probeShard(let shard, let address): extents.probe(shard, at: address)
    case .raiseFloor(let floor): weights.publish(weights.current.forgetting(below: floor))
    case .expectPush(let lease, let peer, let finished): desk.expect(lease, from: peer, finished)
    case .abandonPush(let lease): desk.abandon(lease)
    case .accept(let lease, _):
      guard let arrival = desk.take(lease) else {
        fatalError("invariant broken: lease \(lease.number) is accepted without its payload")
      }
      updates.add(.add(arrival))
    case .startUpdate(let step): updates.add(.update(step: step))
    case .writeCheckpoint(let step):
      let version = weights.current
      invariant(version.step == step, "a checkpoint of step \(step), but the weights are of step \(version.step)")
      checkpoints.write(later: version, CoordinatorCheckpoints.Learned(by: control.coordinator, before: step))
    case .judge(let step, let slices): judge.judge(slices, of: step, without: control.coordinator.lostPictures)
    case .examinePicture(let picture): pictures.examine(picture)
    case .recordLost(let lost): record(lost, &control)
    case .startOver:
      updates.add(.startOver)
      judge.startOver()
    case .quarantine(let hosts, let step):
      do {
        try directory.quarantine(hosts, goingBackTo: step)
      } catch {
        let names = hosts.map { "'\($0.host)'" }.joined(separator: ", ")
        end(.retryable("Host \(names) gave wrong results, and its quarantine could not be stored: \(error)"), &control)
      }
    case .stop(let reason):
      control.hasEnded = true
      _ = outcome.tryAppend(reason)
    case .log(let level, let text): log(level, text)
    }
  }

  private func record(_ lost: [LostPicture], _ control: inout Control) {
    let data = pictures.data
    do {
      try directory.lose(
        lost.map {
          LostPictureRecord(
            picture: $0.picture, step: $0.step, path: Array(data.pathBytes($0.picture)), size: data.size($0.picture))
        })
      pictures.forget(lost.map(\.picture))
    } catch {
      end(.retryable("Pictures cannot be read any more, and that could not be stored: \(error)"), &control)
    }
  }

  private func send(_ message: CoordinatorMessage, to peer: PeerID, _ control: borrowing Control) {
    // A full outbox drops it; the state machine lives with lost messages.
    _ = control.thread?.send(Outgoing(Envelope(sender: sender, message: .coordinator(message)), to: peer))
  }

  /// What the state machine does not know of makes it stop.
  private func end(_ reason: StopReason) {
    control.withLock { end(reason, &$0) }
  }

  private func end(_ reason: StopReason, _ control: inout Control) {
    guard !control.hasEnded else { return }
    control.hasEnded = true
    if let why = reason.failure { log(.error, why) }
    _ = outcome.tryAppend(reason)
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
}

// MARK: - Status

extension CoordinatorService {
  private func status(_ control: borrowing Control) -> RunStatus {
    let version = weights.current
    return RunStatus(
      coordination: control.coordinator.status(at: .now), run: directory.run.description, plan: plan,
      probe: "\(probe)",
      newest: control.newest?.record, isRunning: true,
      memory: RunStatus.Memory(size: plan.configuration.memorySize, rows: version.rows),
      digests: RunStatus.Digests(
        student: "\(version.studentDigest)", teacher: "\(version.teacherDigest)", memory: "\(version.memory)"))
  }
}
