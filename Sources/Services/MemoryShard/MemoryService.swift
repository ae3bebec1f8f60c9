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
/// What it says and does is decided by a `ShardMachine`, which `run` gives everything that happens, one after the other:
/// what the control socket's thread hears, and what the threads that copy, serve and read through report.
///
/// Threads: the one that runs, the control socket's, the bulk socket's, one that copies, one that reads its files through
/// for damage.
public final class MemoryService: Sendable {
  public typealias Outcome = PeerOutcome

  private static let tick = Duration.milliseconds(200)
  /// What the control socket hears waits while so many events do. What other threads report is dropped then, for it is
  /// told again: a copy is assigned again, damage is met again.
  private static let eventsQueued = 1024

  private let options: MemoryOptions
  private let log: ServiceLog
  private let context: Context
  private let line: ControlConnection
  private let directory: ShardDirectory
  private let storage: any Storage
  private let bulkSocket: RouterSocket
  private let address: BulkAddress
  private let events = BoundedQueue<ShardEvent>(capacity: MemoryService.eventsQueued)
  private let serving = Mutex<ShardServing?>(nil)
  /// Nil until the shape of the rows is known.
  private let store: Mutex<ExtentStore?>
  /// Bytes that it offers: what it was told, or what its disk has room for.
  private let capacity: Int

  /// Of the thread that runs.
  private struct State {
    var machine: ShardMachine
    /// From `.join` to `.leave`.
    var copying: ExtentCopying?
    var ending: ShardEnding?
    /// Why it cannot go on, if that is no word of the machine's.
    var failure: (any Error)?
  }

  /// Opens the directory and the socket that serves; nobody is answered before `run`.
  /// - Throws: `MemoryError`, `MemoryBankError`, `DurabilityError` of the directory; `WireError` of the socket.
  public init(_ options: MemoryOptions, storage: any Storage = FileStorage(), log: @escaping ServiceLog) throws {
    self.options = options
    self.log = log
    self.storage = storage
    context = try Context(encrypting: options.serving.isEncrypted)
    directory = try ShardDirectory(options.directory, in: storage)
    let store = try directory.layout.map {
      try ExtentStore(storage: storage, directory: options.directory, layout: $0)
    }
    let (used, free) = (store?.used ?? 0, try storage.freeSpace(at: options.directory))
    capacity = min(options.capacity, used + free)
    if capacity < options.capacity {
      let error = MemoryError.noRoom(directory: options.directory, offered: options.capacity, free: free)
      // A disk that others filled while it was away: the rows that it has are wanted.
      guard used > 0 else { throw error }
      log(.warning, "\(error) Until then it serves what it has.")
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
    address = BulkAddress(endpoint: endpoint.onThisMachine, key: key)
    line = ControlConnection(to: options.coordinator, log: log)
    self.store = Mutex(store)
  }

  /// Where it serves rows.
  public var endpoint: Endpoint { address.endpoint }

  /// Its identity, as `massl memory list` shows it.
  public var shard: ShardID { directory.shard }

  /// Serves until the run is over, it was drained, or `requestStop` is called. May be called once.
  /// - Parameter pulse: called some times a second while this moves.
  /// - Throws: `MemoryError`; `DurabilityError` once the directory is another's; `WireError` for an endpoint that can
  ///   never be reached.
  public func run(pulse: () -> Void = {}) throws -> Outcome {
    let store = store.withLock { $0 }
    var state = State(
      machine: ShardMachine(
        ShardMachine.Settings(
          name: options.name, shard: directory.shard, address: address, capacity: capacity,
          run: directory.layout.map { RunIdentity($0.run) }, incarnation: directory.incarnation, peer: line.peer,
          coordinator: "\(options.coordinator)",
          directory: options.directory, givesUpAfter: options.givesUpAfter),
        holding: store?.held ?? [:], at: .now))
    try line.open(security: options.security, tick: Self.tick) { [events] in
      _ = events.append(ShardEvent($0))
    }
    let bulk = try SocketThread(
      named: "massl-bulk", owning: bulkSocket, outboxCapacity: 1, tick: .milliseconds(20)
    ) { [self] event, socket in
      serving.withLock { $0 }?.handle(event, socket)
    }
    // What opening found.
    noteDamage()
    let scrub = ExtentScrub { [self] in
      self.store.withLock { $0 }
    } report: { [self] in
      noteDamage()
    }
    while state.ending == nil, let event = events.next() {
      handle(event, &state)
      if case .tick = event { pulse() }
    }
    // Nobody waits for room from here on.
    events.close()
    scrub.stop()
    line.close()
    bulk.stop()
    // Let go of, for what it reports to holds this.
    serving.withLock { $0 = nil }
    directory.release()
    switch state.ending {
    case .finished: return .finished
    case .stopped, nil: return .stopped
    case .silent: return .silent
    case .turnedAway(let reason):
      throw MemoryError.turnedAway(coordinator: "\(options.coordinator)", reason: reason)
    case .socketFailed(let reason):
      throw MemoryError.socketFailed(coordinator: "\(options.coordinator)", reason: reason)
    case .failed:
      invariant(state.failure != nil, "a memory shard failed for no reason")
      throw state.failure!
    }
  }

  /// Leaves; its rows stay on disk. From any thread.
  public func requestStop() { _ = events.append(.stopRequested) }
}

extension ShardEvent {
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

extension MemoryService {
  private func handle(_ event: ShardEvent, _ state: inout State) {
    // Another thread tells of it, and may come late: what was removed since is not there again.
    if case .extent(.held(let extent)) = event, store.withLock({ $0 })?.held[extent.index] != extent.after { return }
    let served = serving.withLock { $0 }?.counts ?? ShardServing.Counts()
    state.machine.figures = ShardFigures(
      used: store.withLock { $0 }?.used ?? 0, servedRows: served.rows, servedBytes: served.bytes)
    for effect in state.machine.handle(event, at: .now) {
      // What was carried out before may have ended it.
      guard state.ending == nil else { return }
      switch effect {
      case .say(let message, let sender): line.say(.shard(message), from: sender)
      case .join(let welcome, let sender): join(welcome, sender, &state)
      case .leave:
        state.copying?.stop()
        state.copying = nil
      case .copy(let extents): copy(extents, &state)
      case .remove(let extent): remove(extent, &state)
      case .log(let level, let text): log(level, text)
      case .stop(let ending): state.ending = ending
      }
    }
  }

  private func fail(_ error: any Error, _ state: inout State) {
    state.failure = error
    handle(.failed, &state)
  }

  private func join(_ welcome: ShardWelcome, _ sender: Sender, _ state: inout State) {
    do {
      let layer = try ConfigurationLayer(recipe: welcome.configuration, file: "the coordinator's configuration")
      let configuration = try RunConfiguration(layers: [layer])
      let layout = configuration.extentLayout(run: sender.run.digest)
      let store = try open(layout, following: sender.incarnation)
      serving.withLock {
        $0 = ShardServing(
          sender: sender, answers: RowAnswers(source: store, keys: configuration.memoryKeys), log: log
        ) { [self] in noteDamage() }
      }
      let clients = SourceClients(
        context: context, sender: sender,
        coordinator: options.coordinator.withPort(welcome.bulkPort), control: line.address, security: options.security
      ) { [log] in log(.warning, $0) }
      state.copying = ExtentCopying(
        layout: layout, clients: clients, bytesPerSecond: configuration.memoryCopyRate, begin: { try store.begin($0) }
      ) { [events] in _ = events.tryAppend(.extent(ExtentProgress($0))) }
      handle(.joined, &state)
    } catch let error as ConfigurationError {
      handle(.couldNotJoin(reason: "\(error)"), &state)
    } catch let error as DurabilityError where error.isOutOfSpace {
      // Rows are served meanwhile.
      handle(.notJoined(reason: "\(error)"), &state)
    } catch {
      fail(error, &state)
    }
  }

  private func open(_ layout: ExtentLayout, following incarnation: Incarnation) throws -> ExtentStore {
    try directory.adopt(layout, following: incarnation)
    if let store = store.withLock({ $0 }), store.layout == layout { return store }
    let new = try ExtentStore(storage: storage, directory: options.directory, layout: layout)
    store.withLock { $0 = new }
    return new
  }

  private func copy(_ extents: [AssignedExtent], _ state: inout State) {
    do { try directory.verifyLock() } catch let error as DurabilityError where error.isLostLock {
      return fail(error, &state)
    } catch {
      // What cannot be known now is asked again with the next assignment; a copy is written to a name of its own.
    }
    guard let store = store.withLock({ $0 }) else { return }
    let (held, damaged) = (store.held, store.damaged)
    let there = extents.map { ExtentRecord($0.extent) }.filter {
      held[$0.index] == $0.mark && !damaged.contains($0.index)
    }
    let indices = Set(there.map(\.index))
    state.copying?.copy(extents.filter { !indices.contains($0.extent.index) })
    // Copied as this was assigned: its end waits to be told, or could not be.
    for record in there { handle(.extent(.held(HeldExtent(index: record.index, after: record.mark))), &state) }
  }

  private func remove(_ extent: Int, _ state: inout State) {
    do {
      try directory.verifyLock()
      try store.withLock { $0 }?.remove(extent)
      handle(.extent(.removed(extent)), &state)
    } catch let error as DurabilityError where error.isLostLock {
      fail(error, &state)
    } catch {
      handle(.extent(.notRemoved(extent, reason: "\(error)")), &state)
    }
  }

  /// Tells which extents are damaged, from any thread.
  private func noteDamage() {
    let damaged = store.withLock { $0 }?.damaged ?? []
    if !damaged.isEmpty { _ = events.tryAppend(.damaged(damaged)) }
  }
}

extension ExtentProgress {
  fileprivate init(_ outcome: ExtentCopying.Outcome) {
    switch outcome {
    case .held(let record): self = .held(HeldExtent(index: record.index, after: record.mark))
    case .noRoom(let extent, let reason): self = .noRoom(extent, reason: reason)
    case .failed(let extent, let reason): self = .notCopied(extent, reason: reason)
    }
  }
}

extension ExtentRecord {
  init(_ identity: ExtentIdentity) {
    self.init(index: identity.index, before: identity.before, after: identity.after)
  }

  var identity: ExtentIdentity { ExtentIdentity(index: index, before: before, after: after) }
}
