import Configuration
import Coordination
import Machine
import Messages
import Numerics
import Runs
import Threads
import Training
import Vision
import Wire

/// A worker: owns nothing, asks for slices, computes them, pushes their sums.
///
///     let outcome = try WorkerService(options) { level, text in ... }.run()    // blocks; requestStop() ends it
///
/// What it says and does is decided by a `WorkerMachine`, which `run` gives everything that happens, one after the
/// other: what the control socket's thread hears, and what the threads of a `WorkerSession` report.
public final class WorkerService: Sendable {
  public typealias Outcome = PeerOutcome

  private static let tick = Duration.milliseconds(500)
  /// Threads that report wait while so many events do.
  private static let eventsQueued = 1024

  private let options: WorkerOptions
  private let log: ServiceLog
  private let context: Context
  private let line: ControlConnection
  /// Nil where others do not reach this worker.
  private let socket: WeightsSocket?
  /// This machine's own pictures.
  private let own: DataSet?
  private let events = BoundedQueue<WorkerEvent>(capacity: WorkerService.eventsQueued)

  /// Of the thread that runs.
  private struct State {
    var machine: WorkerMachine
    /// From `.join` to `.leave`.
    var session: WorkerSession?
    /// Outlives sessions; nil before the first one.
    var rows: (run: RunIdentity, welcome: Welcome, kept: WorkerRows)?
    var ending: WorkerEnding?
  }

  /// - Throws: `VisionError` when there are no pictures in the folder given; `WireError` when ZeroMQ cannot start, or where
  ///   it cannot listen.
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
    context = try Context(encrypting: options.security.isEncrypted)
    line = ControlConnection(to: options.coordinator, log: log)
    socket = try options.serving.map { [context] in try WeightsSocket(in: context, $0, log: log) }
  }

  /// Where other workers fetch weights from it; nil where they do not.
  public var endpoint: Endpoint? { socket?.address.endpoint }

  /// Works until the run is over or `requestStop` is called. May be called once.
  /// - Parameter pulse: called some times a second while this and the threads that compute move.
  /// - Throws: `WorkerError.turnedAway`, `.socketFailed`; `WireError` for an endpoint that can never be reached.
  public func run(pulse: () -> Void = {}) throws -> Outcome {
    let hello = Hello(
      protocolVersion: WireLimits.protocolVersion, name: options.name, host: options.host, threads: options.threads,
      probe: options.probe, libraries: LibraryVersions(of: options.precision), address: socket?.address,
      evaluates: true)
    var state = State(
      machine: WorkerMachine(
        WorkerMachine.Settings(
          hello: hello, peer: line.peer, coordinator: "\(options.coordinator)", givesUpAfter: options.givesUpAfter),
        at: .now))
    try line.open(security: options.security, tick: Self.tick) { [events] in
      _ = events.append(WorkerEvent($0))
    }
    while state.ending == nil, let event = events.next() {
      handle(event, &state)
      if case .tick = event, state.session?.isStuck != true { pulse() }
    }
    // Nobody waits for room from here on.
    events.close()
    line.close()
    socket?.stop()
    switch state.ending {
    case .finished: return .finished
    case .stopped, nil: return .stopped
    case .silent: return .silent
    case .turnedAway(let reason):
      throw WorkerError.turnedAway(coordinator: "\(options.coordinator)", reason: reason)
    case .socketFailed(let reason):
      throw WorkerError.socketFailed(coordinator: "\(options.coordinator)", reason: reason)
    }
  }

  /// Leaves: leases go back to the coordinator; from any thread.
  public func requestStop() { _ = events.append(.stopRequested) }
}

extension WorkerEvent {
  fileprivate init(_ event: ControlConnection.Event) {
    switch event {
    case .received(let message, let sender): self = .received(message, from: sender)
    case .connectionLost: self = .connectionLost
    case .tick: self = .tick
    case .failed(let reason): self = .socketFailed(reason: reason)
    }
  }
}

// MARK: - What the machine says

extension WorkerService {
  private func handle(_ event: WorkerEvent, _ state: inout State) {
    for effect in state.machine.handle(event, at: .now) {
      switch effect {
      case .say(let message, let sender): line.say(.worker(message), from: sender)
      case .join(let welcome, let sender, let session): handle(join(welcome, sender, session, &state), &state)
      case .leave:
        socket?.serve(nil)
        state.session?.stop()
        state.session = nil
      case .compute(let lease): state.session?.compute(lease)
      case .push(let lease, let keepsGradient): state.session?.push(lease, keepsGradient: keepsGradient)
      case .reduce(let reduction): state.session?.reduce(reduction)
      case .evaluate(let evaluate): state.session?.evaluate(evaluate)
      case .stopEvaluating: state.session?.stopEvaluating()
      case .forget(let lease): state.session?.forget(lease)
      case .log(let level, let text): log(level, text)
      case .stop(let ending): state.ending = ending
      }
    }
  }

  private func join(_ welcome: Welcome, _ sender: Sender, _ number: Int, _ state: inout State) -> WorkerEvent {
    do {
      let layer = try ConfigurationLayer(recipe: welcome.configuration, file: "the coordinator's configuration")
      let definition = try RunDefinition(
        configuration: RunConfiguration(layers: [layer]), pictures: welcome.data.count)
      let need = MemoryNeed.worker(of: definition, threads: options.threads, givesWeights: socket != nil)
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
      let (shelf, gradients) = (WeightsShelf(), KeptGradients())
      socket?.serve(WeightsServing(sender: sender, shelf: shelf, gradients: gradients, log: log))
      let connect = { @Sendable [context, options] (address: BulkAddress) in
        try BulkClient(to: address, in: context, of: sender, security: options.security)
      }
      let run = welcome.data
      let connectForEvaluation = { @Sendable [context, options, own] in
        let asker = Sender(run: sender.run, incarnation: sender.incarnation, peer: .random())
        let client = try BulkClient(
          context: context, sender: asker, endpoint: coordinator, control: control, security: options.security)
        // What there is to say of this machine's folder is said once, of the slices' pictures.
        return (client, WorkerPictures(bulk: client, own: own?.counted(asBy: run), run: run) { _, _ in })
      }
      let rest = need.rest(of: allowance)
      let room = socket == nil ? 0 : MemoryNeed.gradientRoom(of: definition, in: rest)
      state.session = try WorkerSession(
        definition: definition, incarnation: sender.incarnation, clients: clients, payloads: payloads,
        pictures: WorkerPictures(bulk: bulk, own: own?.counted(asBy: welcome.data), run: welcome.data, log: log),
        rows: rows(
          of: definition, welcome, sender,
          bytes: min(options.rowCacheBytes, rest - MemoryNeed.gradientBytes(of: definition, room)), &state),
        holders: RowHolders(
          layout: definition.extentLayout(run: sender.run.digest), peer: line.peer,
          log: log
        ) { try clients.client(of: $0) },
        exchange: { [socket, log] bulk in
          WeightsExchange(coordinator: bulk, own: socket?.address, shelf: shelf, log: log, connect: connect)
        },
        gradients: gradients, connect: connect, connectForEvaluation: connectForEvaluation, threads: options.threads
      ) { [events] in _ = events.append(.work($0, session: number)) }
      return .joined(
        LeaseBounds(
          steps: definition.lastStep, tree: definition.tree, pictures: definition.pictures,
          parameters: definition.layout.count), gradientRoom: room)
    } catch {
      return .couldNotJoin(reason: "\(error)")
    }
  }

  /// Those kept from the session before, if they are the same run's under the same configuration.
  private func rows(
    of definition: RunDefinition, _ welcome: Welcome, _ sender: Sender, bytes: Int, _ state: inout State
  ) -> WorkerRows {
    if let rows = state.rows, rows.run == sender.run, rows.welcome.configuration == welcome.configuration,
      rows.welcome.data == welcome.data
    {
      rows.kept.begin(sender.incarnation, rows: welcome.rows)
      return rows.kept
    }
    let rows = WorkerRows(definition: definition, bytes: bytes, incarnation: sender.incarnation)
    state.rows = (sender.run, welcome, rows)
    return rows
  }
}
