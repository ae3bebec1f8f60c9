import Configuration
import Coordination
import Machine
import Numerics
import Synchronization
import Training
import Vision
import Wire

/// A worker: owns nothing, asks for slices, computes them, pushes their sums.
///
///     let outcome = try WorkerService(options) { level, text in ... }.run()    // blocks; requestStop() ends it
///
/// The control socket's thread says hello until it is welcomed; the welcome begins a `WorkerSession`, which does the
/// work. A coordinator that is away is waited for; one that comes back, or does not know this worker, is greeted anew.
public final class WorkerService: Sendable {
  public typealias Outcome = PeerOutcome

  private static let tick = Duration.milliseconds(500)

  private let options: WorkerOptions
  private let log: ServiceLog
  private let context: Context
  private let line: ControlLine
  /// This machine's own pictures.
  private let own: DataSet?
  private let outcome = BoundedQueue<Result<Outcome, WorkerError>>(capacity: 1)
  private let state = Mutex(State())

  private struct State: Sendable {
    /// From a welcome on.
    var session: WorkerSession?
    /// Outlives sessions; nil before the first one.
    var rows: (run: RunIdentity, welcome: Welcome, kept: WorkerRows)?
  }

  /// - Throws: `VisionError` when there are no pictures in the folder given, `WireError` when ZeroMQ cannot start.
  public init(_ options: WorkerOptions, log: @escaping ServiceLog) throws {
    self.options = options
    self.log = log
    do {
      own = try options.data.map { try DataSet(root: $0) }
    } catch VisionError.unreadable(let path, let reason) {
      // Nothing that a worker cannot do without.
      log(.warning, "\(path) cannot be read: \(reason). Pictures come from the coordinator.")
      own = nil
    }
    context = try Context()
    line = ControlLine(to: options.coordinator, givesUpAfter: options.givesUpAfter, log: log)
  }

  /// Works until the run is over or `requestStop` is called.
  /// - Throws: `WorkerError.turnedAway`, `.socketFailed`; `WireError` for an endpoint that can never be reached.
  public func run() throws -> Outcome {
    try line.open(in: context, security: options.security, tick: Self.tick) { [self] in handle($0) }
    let result = outcome.next() ?? .success(.stopped)
    let session = state.withLock { $0.session }
    session?.stop()
    if let session { say(.goodbye, session.sender) }
    line.close()
    state.withLock { $0.session = nil }
    return try result.get()
  }

  /// Leaves: leases go back to the coordinator; from any thread.
  public func requestStop() { _ = outcome.tryAppend(.success(.stopped)) }

  private func end(_ error: WorkerError) { _ = outcome.tryAppend(.failure(error)) }

  private func say(_ message: WorkerMessage, _ sender: Sender) {
    line.say(.worker(message), from: sender)
  }
}

// MARK: - The control socket's thread

extension WorkerService {
  private func handle(_ event: ControlLine.Event) {
    switch event {
    case .received(let message, let sender): receive(message, from: sender)
    case .wantsHello: hello()
    case .isDue:
      let session = state.withLock { $0.session }
      session?.sayReady()
      session?.announceAgain()
    case .isSilent: _ = outcome.tryAppend(.success(.silent))
    case .failed(let reason): end(.socketFailed(coordinator: "\(options.coordinator)", reason: reason))
    }
  }

  private func hello() {
    let sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: line.peer)
    say(
      .hello(
        Hello(
          protocolVersion: Wire.Limits.protocolVersion, name: options.name, host: options.host,
          threads: options.threads, probe: options.probe, libraries: .loaded)), sender)
  }

  private func receive(_ message: CoordinatorMessage, from sender: Sender) {
    let session = state.withLock { $0.session }
    let isOfSession = session?.sender.run == sender.run && session?.sender.incarnation == sender.incarnation
    switch message {
    case .welcome(let welcome):
      // A welcome comes again when a hello was sent twice.
      guard !isOfSession else { return }
      session?.stop()
      join(welcome, as: Sender(run: sender.run, incarnation: sender.incarnation, peer: line.peer))
    case .refusal(let refusal): refused(refusal, session)
    case .finished: _ = outcome.tryAppend(.success(.finished))
    case .lease(let lease): if isOfSession { session?.take(lease) }
    case .grant(let lease): if isOfSession { session?.push(lease) }
    case .cancel(let lease): if isOfSession { session?.cancel(lease) }
    case .heartbeat, .status, .shardWelcome, .assignment, .memory, .drain: break
    }
  }

  private func join(_ welcome: Welcome, as sender: Sender) {
    do {
      let layer = try ConfigurationLayer(recipe: welcome.configuration, file: "the coordinator's configuration")
      let plan = try RunPlan(
        configuration: RunConfiguration(layers: [layer]), pictures: welcome.data.count)
      let need = MemoryNeed.worker(of: plan, threads: options.threads)
      let allowance = Allowance.current
      try need.check(allowance)
      // A router tells connections apart by their peers: what is asked for, by anybody, comes over another than what is
      // pushed, which only the lease's holder may.
      let coordinator = options.coordinator.withPort(welcome.bulkPort)
      let asker = Sender(run: sender.run, incarnation: sender.incarnation, peer: .random())
      let control = line.address
      let clients = SourceClients(
        context: context, sender: asker, coordinator: coordinator, control: control, security: options.security
      ) { [log] in log(.warning, $0) }
      let payloads = try BulkClient(
        context: context, sender: sender, endpoint: coordinator, control: control, security: options.security)
      let bulk = try clients.client(of: .coordinator)
      let session = try WorkerSession(
        plan: plan, sender: sender, clients: clients, payloads: payloads,
        pictures: WorkerPictures(bulk: bulk, own: own?.counted(asBy: welcome.data), run: welcome.data, log: log),
        rows: rows(of: plan, welcome, sender, bytes: min(options.rowCacheBytes, need.rest(of: allowance))),
        holders: RowHolders(
          layout: plan.extentLayout(run: sender.run.digest), peer: line.peer,
          log: log
        ) { try clients.client(of: $0) },
        threads: options.threads, flipsBitEvery: options.flipsBitEvery, log: log
      ) { [self] in say($0, $1) }
      state.withLock { $0.session = session }
      line.isWelcomed()
      log(.info, "Joined the run at \(options.coordinator), incarnation \(sender.incarnation.number).")
      session.sayReady()
    } catch {
      end(.turnedAway(coordinator: "\(options.coordinator)", reason: "its run cannot be joined: \(error)"))
    }
  }

  /// Those kept from the session before, if they are the same run's under the same configuration.
  private func rows(of plan: RunPlan, _ welcome: Welcome, _ sender: Sender, bytes: Int) -> WorkerRows {
    if let rows = state.withLock({ $0.rows }), rows.run == sender.run,
      rows.welcome.configuration == welcome.configuration, rows.welcome.data == welcome.data
    {
      rows.kept.begin(sender.incarnation, rows: welcome.rows)
      return rows.kept
    }
    let rows = WorkerRows(plan: plan, bytes: bytes, incarnation: sender.incarnation)
    state.withLock { $0.rows = (sender.run, welcome, rows) }
    return rows
  }

  private func refused(_ refusal: Refusal, _ session: WorkerSession?) {
    switch refusal.reason {
    case .unknownPeer, .otherRun:
      // Without a session the hello itself was refused, for now: the next one waits its turn.
      guard let session else { return log(.warning, refusal.text) }
      session.stop()
      state.withLock { $0.session = nil }
      line.isUnknown()
      log(.info, "\(refusal.text) Saying hello again.")
    // Hello is said again in a while.
    case .malformed, .tooManyPeers, .duplicateShard: log(.warning, refusal.text)
    case .protocolVersion, .computeClass, .quarantined:
      end(.turnedAway(coordinator: "\(options.coordinator)", reason: refusal.text))
    }
  }
}
