import Configuration
import Coordination
import Durability
import MemoryBank
import Messages
import Numerics
import Runs
import Synchronization
import Threads
import Training
import Wire

/// A memory shard: holds the extents that it is told to, and serves their rows.
///
///     let outcome = try MemoryService(options) { level, text in ... }.run()    // blocks; requestStop() ends it
///
/// It owns nothing but its directory. What it should hold comes from the coordinator; what it lacks of that it copies
/// from whoever has it, checks, makes durable and reports. A coordinator that is away is waited for, and rows are
/// served meanwhile.
///
/// Threads: the control socket's, the bulk socket's, one that copies, one that reads its files through for damage.
public final class MemoryService: Sendable {
  public typealias Outcome = PeerOutcome

  private static let tick = Duration.milliseconds(200)
  /// So long after its start another process with this shard's identity may be its own predecessor.
  private static let duplicatePatience = Duration.seconds(15)

  private let options: MemoryOptions
  private let log: ServiceLog
  private let context: Context
  private let line: ControlConnection
  private let contact: Mutex<CoordinatorContact>
  private let directory: ShardDirectory
  private let storage: any Storage
  private let bulkSocket: RouterSocket
  private let address: ShardAddress
  private let outcome = BoundedQueue<Result<Outcome, any Error>>(capacity: 1)
  private let serving = Mutex<ShardServing?>(nil)
  private let state: Mutex<State>
  private let begun = ContinuousClock.now

  private struct State: Sendable {
    /// Nil until the shape of the rows is known.
    var store: ExtentStore?
    /// From a welcome on.
    var session: Session?
    /// What has happened to extents and is not known to be heard.
    var changes: [ExtentChange] = []
    /// The number of the first of `changes`.
    var firstChange: UInt64 = 0
    /// Damage that was reported.
    var damaged: Set<Int> = []
    var assignment = UInt64(0)
    var problem = ""
    var isFull = false
    var failedCopies = GatheredLines("extents could not be copied")
  }

  private struct Session: Sendable {
    var sender: Sender
    var copying: ExtentCopying
  }

  /// Opens the directory and the socket that serves; nobody is answered before `run`.
  /// - Throws: `MemoryError`, `MemoryBankError`, `DurabilityError` of the directory; `WireError` of the socket.
  public init(_ options: MemoryOptions, storage: any Storage = FileStorage(), log: @escaping ServiceLog) throws {
    self.options = options
    self.log = log
    self.storage = storage
    context = try Context()
    directory = try ShardDirectory(options.directory, in: storage)
    let store = try directory.layout.map {
      try ExtentStore(storage: storage, directory: options.directory, layout: $0)
    }
    let free = try storage.freeSpace(at: options.directory)
    guard options.capacity - (store?.used ?? 0) <= free else {
      throw MemoryError.noRoom(
        directory: options.directory, offered: options.capacity, free: free)
    }
    bulkSocket = try RouterSocket(
      in: context, listeningOn: options.listen, for: .bulk, security: options.serving,
      connectionsAtMost: ProcessLimits.connections)
    for error in bulkSocket.unbound { log(.warning, "\(error)") }
    var endpoint = options.advertised ?? bulkSocket.endpoint
    if endpoint.port == 0 { endpoint = endpoint.withPort(bulkSocket.endpoint.port) }
    guard options.coordinator.isLoopback || !endpoint.onThisMachine.isLoopback else {
      throw MemoryError.unreachable(endpoint: "\(endpoint)", coordinator: "\(options.coordinator)")
    }
    let key: PublicKey? = if case .curve(let keys) = options.serving { keys.own.publicKey } else { nil }
    address = ShardAddress(endpoint: endpoint.onThisMachine, key: key)
    line = ControlConnection(to: options.coordinator, log: log)
    contact = Mutex(
      CoordinatorContact(
        as: line.peer, to: "\(options.coordinator)", givesUpAfter: options.givesUpAfter, at: .now))
    state = Mutex(State(store: store))
  }

  /// Where it serves rows.
  public var endpoint: Endpoint { address.endpoint }

  /// Its identity, as `massl memory list` shows it.
  public var shard: ShardID { directory.shard }

  /// Serves until the run is over, it was drained, or `requestStop` is called. May be called once.
  /// - Throws: `MemoryError`; `WireError` for an endpoint that can never be reached.
  public func run() throws -> Outcome {
    try line.open(in: context, security: options.security, tick: Self.tick) { [self] in handle($0) }
    let bulk = try SocketThread(
      named: "massl-bulk", owning: bulkSocket, outboxCapacity: 1, tick: .milliseconds(20)
    ) { [self] event, socket in
      serving.withLock { $0 }?.handle(event, socket)
    }
    let scrub = ExtentScrub { [self] in
      state.withLock { $0.store }
    } report: { [self] in
      noteDamage()
    }
    let result = outcome.next() ?? .success(.stopped)
    scrub.stop()
    let session = state.withLock { state in
      defer { state.session = nil }
      return state.session
    }
    session?.copying.stop()
    if let session { say(.goodbye, session.sender) }
    line.close()
    bulk.stop()
    // Let go of, for what it reports to holds this.
    serving.withLock { $0 = nil }
    directory.release()
    return try result.get()
  }

  /// Leaves; its rows stay on disk. From any thread.
  public func requestStop() { _ = outcome.tryAppend(.success(.stopped)) }

  private func end(_ error: any Error) { _ = outcome.tryAppend(.failure(error)) }

  private func say(_ message: ShardMessage, _ sender: Sender) {
    line.say(.shard(message), from: sender)
  }
}

// MARK: - The control socket's thread

extension MemoryService {
  private func handle(_ event: ControlConnection.Event) {
    switch event {
    case .received(let message, let sender): receive(message, from: sender)
    case .connectionLost:
      contact.withLock { $0.connectionLost(at: .now) }
      // At once it would go the way of the last word: the next look says what is due.
      return
    case .tick: break
    case .failed(let reason):
      end(MemoryError.socketFailed(coordinator: "\(options.coordinator)", reason: reason))
    }
    for duty in contact.withLock({ $0.duties(at: .now, log: log) }) {
      switch duty {
      case .sayHello: hello()
      case .showLife: report()
      case .giveUp: _ = outcome.tryAppend(.success(.silent))
      }
    }
  }

  private func hello() {
    let hello = state.withLock { state in
      // What is held is said whole, so that what happened before need not be said.
      state.firstChange += UInt64(state.changes.count)
      state.changes = []
      let held = (state.store?.held ?? [:]).map { HeldExtent(index: $0, after: $1) }.sorted { $0.index < $1.index }
      return ShardHello(
        protocolVersion: WireLimits.protocolVersion, name: options.name, shard: directory.shard, address: address,
        capacity: options.capacity, held: held, changes: state.firstChange)
    }
    let run = directory.layout.map { RunIdentity($0.run) } ?? RunIdentity(high: 0, low: 0)
    let heard = contact.withLock { $0.sender }
    let incarnation = heard.run == run ? heard.incarnation : Incarnation(0)
    say(.hello(hello), Sender(run: run, incarnation: incarnation, peer: line.peer))
  }

  private func report() {
    let served = serving.withLock { $0 }?.counts ?? ShardServing.Counts()
    let (report, sender) = state.withLock { state in
      return (
        ShardReport(
          first: state.firstChange, changes: Array(state.changes.prefix(WireLimits.extentsAssigned)),
          used: state.store?.used ?? 0, capacity: options.capacity, isFull: state.isFull, servedRows: served.rows,
          servedBytes: served.bytes, assignment: state.assignment, problem: state.problem), state.session?.sender
      )
    }
    if let sender { say(.report(report), sender) }
  }

  private func receive(_ message: CoordinatorMessage, from sender: Sender) {
    let session = state.withLock { $0.session }
    let isOfSession = session?.sender.run == sender.run && session?.sender.incarnation == sender.incarnation
    guard contact.withLock({ $0.hear(message, from: sender, at: .now, log: log) }) != .stranger else { return }
    switch message {
    case .shardWelcome(let welcome):
      // A welcome comes again when a hello was sent twice.
      guard !isOfSession else { return }
      session?.copying.stop()
      join(welcome, as: Sender(run: sender.run, incarnation: sender.incarnation, peer: line.peer))
    case .assignment(let assignment): if isOfSession, let session { take(assignment, session) }
    case .refusal(let refusal): refused(refusal, session)
    case .finished:
      guard isOfSession else { return }
      log(.info, "Nothing is left to do here: the run is over, or this shard was drained.")
      _ = outcome.tryAppend(.success(.finished))
    case .welcome, .lease, .grant, .cancel, .heartbeat, .status, .memory, .drain: break
    }
  }

  private func refused(_ refusal: Refusal, _ session: Session?) {
    let age = ContinuousClock.now - begun
    switch refusal.reason {
    case .unknownPeer:
      guard let session else { return log(.warning, refusal.text) }
      session.copying.stop()
      state.withLock { $0.session = nil }
      contact.withLock { $0.isUnknown(at: .now) }
      log(.info, "\(refusal.text) Saying hello again.")
    case .malformed, .tooManyPeers: log(.warning, refusal.text)
    // The other process may be dead already, and the coordinator not know it yet.
    case .duplicateShard where age < Self.duplicatePatience:
      log(.warning, refusal.text)
    default: end(MemoryError.turnedAway(coordinator: "\(options.coordinator)", reason: refusal.text))
    }
  }
}

// MARK: - A session

extension MemoryService {
  private func join(_ welcome: ShardWelcome, as sender: Sender) {
    do {
      let layer = try ConfigurationLayer(recipe: welcome.configuration, file: "the coordinator's configuration")
      let configuration = try RunConfiguration(layers: [layer])
      let layout = configuration.extentLayout(run: sender.run.digest)
      let store = try open(layout)
      serving.withLock {
        $0 = ShardServing(
          sender: sender, answers: RowAnswers(source: store, keys: configuration.memoryKeys), log: log
        ) { [self] in noteDamage() }
      }
      let clients = SourceClients(
        context: context, sender: sender,
        coordinator: options.coordinator.withPort(welcome.bulkPort), control: line.address, security: options.security
      ) { [log] in log(.warning, $0) }
      let copying = ExtentCopying(
        layout: layout, clients: clients, bytesPerSecond: configuration.memoryCopyRate, begin: { try store.begin($0) }
      ) { [self] in copied($0) }
      state.withLock { state in
        state.session = Session(sender: sender, copying: copying)
        state.assignment = 0
      }
      contact.withLock { $0.welcomed(at: .now) }
      log(.info, "Joined the run at \(options.coordinator), incarnation \(sender.incarnation.number).")
      report()
    } catch let error as ConfigurationError {
      end(
        MemoryError.turnedAway(
          coordinator: "\(options.coordinator)", reason: "its run cannot be joined: \(error)"))
    } catch {
      end(error)
    }
  }

  private func open(_ layout: ExtentLayout) throws -> ExtentStore {
    if let store = state.withLock({ $0.store }), store.layout == layout { return store }
    try directory.adopt(layout)
    let store = try ExtentStore(storage: storage, directory: options.directory, layout: layout)
    state.withLock { $0.store = store }
    return store
  }

  private func take(_ assignment: Assignment, _ session: Session) {
    // One that was overtaken on the way says what is no longer so.
    guard let store = state.withLock({ assignment.number >= $0.assignment ? $0.store : nil }) else { return }
    do {
      try directory.verifyLock()
      for extent in assignment.removed where store.held[extent] != nil || store.damaged.contains(extent) {
        try store.remove(extent)
        note(.removed(extent))
      }
    } catch let error as DurabilityError {
      if error.isLostLock { return end(error) }
      log(.error, "An extent could not be removed: \(error)")
    } catch {
      log(.error, "An extent could not be removed: \(error)")
    }
    let held = store.held
    func isHeld(_ assigned: AssignedExtent) -> Bool {
      held[assigned.extent.index] == ExtentRecord(assigned.extent).mark
        && !store.damaged.contains(assigned.extent.index)
    }
    state.withLock { state in
      // Those that were heard need not be said again.
      let heard = min(UInt64(state.changes.count), assignment.heard - min(assignment.heard, state.firstChange))
      state.changes.removeFirst(Int(heard))
      state.firstChange += heard
      guard assignment.number > state.assignment else { return }
      state.assignment = assignment.number
      // A disk without room has none until a copy succeeds.
      guard !assignment.extents.isEmpty else { return }
      state.problem = ""
      state.isFull = false
    }
    session.copying.copy(assignment.extents.filter { !isHeld($0) })
  }

  private func copied(_ outcome: ExtentCopying.Outcome) {
    switch outcome {
    case .held(let record):
      state.withLock { state in
        state.damaged.remove(record.index)
        state.isFull = false
        state.problem = ""
      }
      note(.held(HeldExtent(index: record.index, after: record.mark)))
    case .noRoom(let extent, let reason):
      log(.error, "No room for extent \(extent): \(reason)")
      state.withLock { state in
        state.isFull = true
        state.problem = "no room for extent \(extent): \(reason)"
      }
    case .failed(let extent, let reason):
      let line = "Extent \(extent) could not be copied: \(reason)"
      let time = ContinuousClock.now - begun
      let said = state.withLock { state in
        state.problem = "extent \(extent) could not be copied: \(reason)"
        return state.failedCopies.note(line, number: UInt64(clamping: extent), at: time)
      }
      if let said { log(.warning, said) }
    }
    report()
  }

  private func note(_ change: ExtentChange) { state.withLock { $0.changes.append(change) } }

  /// Says which extents turned out to be damaged since it was last said.
  private func noteDamage() {
    let found = state.withLock { state -> [Int] in
      let found = (state.store?.damaged ?? []).subtracting(state.damaged).sorted()
      state.damaged.formUnion(found)
      state.changes += found.map { .damaged($0) }
      return found
    }
    guard !found.isEmpty else { return }
    let named = found.prefix(8).map(String.init).joined(separator: ", ")
    let more = found.count > 8 ? " and \(found.count - 8) more, up to \(found[found.count - 1])," : ""
    log(
      .error,
      "Extents \(named)\(more) in \(options.directory) are damaged: copied again from whoever has them.")
    report()
  }
}

extension ExtentRecord {
  init(_ identity: ExtentIdentity) {
    self.init(index: identity.index, before: identity.before, after: identity.after)
  }

  var identity: ExtentIdentity { ExtentIdentity(index: index, before: before, after: after) }
}
