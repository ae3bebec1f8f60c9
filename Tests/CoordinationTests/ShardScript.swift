import Coordination
import Messages
import Numerics

/// A coordinator with a memory of extents of ten rows, and what shards say to it, line by line.
struct ShardScript {
  static let run = RunIdentity(high: 1, low: 2)
  static let probe = Digest(high: 5, low: 5)
  var coordinator: Coordinator
  var time: UInt64 = 0
  private(set) var effects: [Effect] = []
  /// All of them.
  private(set) var stops: [StopReason] = []
  /// By shard, its changes that were said.
  private var said: [UInt64: UInt64] = [:]
  private var capacities: [UInt64: Int] = [:]
  /// The number of the ledger that is being written.
  private var ledger: UInt64?
  private(set) var newestLedger = Ledger()
  /// The number of the newest assignment, by shard.
  private var assignments: [UInt64: UInt64] = [:]
  /// Who gave out an address last.
  private var addresses: [BulkAddress: UInt64] = [:]
  /// Shards that nobody reaches.
  var unreachable: Set<UInt64> = []

  init(
    replicas: Int = 1, rows: Int = 100, size: Int = 100, resuming memory: ResumedMemory = ResumedMemory(),
    forgets: Bool = false, lastStep: Int = 10
  ) {
    let settings = CoordinatorSettings(
      run: Self.run, incarnation: Incarnation(3),
      compatibility: Compatibility(protocolVersion: 1, probe: Self.probe),
      welcome: Welcome(
        configuration: "recipe", bulkPort: 9, data: DataIdentity(count: 10, digest: Self.probe), rows: rows),
      shape: StepShape(slices: 1, gradientCount: 1, floatsPerSlice: 1), lastStep: lastStep,
      memory: MemorySettings(
        size: size, rowsPerExtent: 10, extentBytes: 10, replicas: replicas, rowsPerStep: 10, forgetsLostRows: forgets),
      pictures: PictureSettings(name: { "\($0)" }, ofSlice: { _, _ in [] }))
    coordinator = Coordinator(
      settings,
      resuming: VersionIdentity(step: 4, student: Self.probe, teacher: Self.probe, rows: rows, memoryFloor: 0),
      durableStep: 4,
      memory: memory, at: Instant(nanoseconds: 0))
  }

  static func extent(_ index: Int) -> ExtentIdentity {
    ExtentIdentity(
      index: index, before: Digest(high: 1, low: UInt64(index)), after: Digest(high: 1, low: UInt64(index + 1)))
  }
  static func held(_ index: Int) -> HeldExtent { HeldExtent(index: index, after: UInt64(index + 1)) }
  static func id(_ shard: UInt64) -> ShardID { ShardID(high: 0, low: shard) }
  static func ledger(_ extents: Range<Int>, _ holders: UInt64...) -> Ledger {
    Ledger(
      entries: extents.map { LedgerEntry(extent: extent($0), holders: holders.map(id)) },
      shards: Dictionary(uniqueKeysWithValues: holders.map { (id($0), LedgerShard(name: "host\($0)")) }))
  }

  @discardableResult
  mutating func handle(_ event: Event, after seconds: Double = 0) throws -> [Effect] {
    time += UInt64(seconds * 1e9)
    effects = coordinator.handle(event, at: Instant(nanoseconds: time))
    stops += effects.compactMap { if case .stop(let reason) = $0 { reason } else { nil } }
    for case .writeLedger(let number, let written) in effects { (ledger, newestLedger) = (number, written) }
    for case .send(.assignment(let assignment), let peer) in effects {
      assignments[peer.rawValue - 100] = assignment.number
    }
    try coordinator.checkInvariants()
    for case .probe(let address) in effects {
      let failure = addresses[address].map(unreachable.contains) ?? false ? "no answer" : nil
      let before = effects
      effects = try before + handle(.probed(address, failure: failure))
    }
    return effects
  }

  @discardableResult
  mutating func say(_ message: ShardMessage, _ shard: UInt64, as peer: UInt64? = nil) throws -> [Effect] {
    try handle(
      .shardMessage(
        message,
        from: Sender(run: Self.run, incarnation: Incarnation(3), peer: PeerID(rawValue: peer ?? 100 + shard))))
  }

  @discardableResult
  mutating func hello(
    _ shard: UInt64, host: String? = nil, capacity: Int = 1000, held: [HeldExtent] = [], changes: UInt64 = 0,
    place: String? = nil, as peer: UInt64? = nil
  ) throws -> [Effect] {
    said[shard] = changes
    capacities[shard] = capacity
    let address = BulkAddress(endpoint: try Endpoint("tcp://\(place ?? "h\(shard)"):7"))
    addresses[address] = shard
    return try say(
      .hello(
        ShardHello(
          protocolVersion: 1, name: host ?? "host\(shard)", shard: Self.id(shard), address: address, capacity: capacity,
          held: held, changes: changes)), shard, as: peer)
  }

  /// Says hello, and what a shard says once it is welcomed.
  @discardableResult
  mutating func join(
    _ shard: UInt64, host: String? = nil, capacity: Int = 1000, held: [HeldExtent] = [], place: String? = nil,
    as peer: UInt64? = nil
  ) throws -> [Effect] {
    let effects = try hello(shard, host: host, capacity: capacity, held: held, place: place, as: peer)
    self.effects = try effects + report(shard, as: peer)
    return self.effects
  }

  @discardableResult
  mutating func report(
    _ shard: UInt64, _ changes: ExtentChange..., isFull: Bool = false, servedRows: Int = 0, as peer: UInt64? = nil
  ) throws -> [Effect] {
    let first = said[shard, default: 0]
    said[shard] = first + UInt64(changes.count)
    return try say(
      .report(
        ShardReport(
          first: first, changes: changes, used: 0, capacity: capacities[shard] ?? 0, isFull: isFull,
          servedRows: servedRows, servedBytes: 64 * servedRows, assignment: assignments[shard] ?? 0)),
      shard, as: peer)
  }

  /// The ledger that is being written becomes durable.
  mutating func finishLedger() throws -> [Effect] {
    guard let number = ledger else { return [] }
    ledger = nil
    return try handle(.ledgerWritten(number: number, failure: nil))
  }

  /// Lets a second pass in which all of these shards are heard, and ledgers become durable.
  @discardableResult
  mutating func pass(_ shards: UInt64..., seconds: Int = 1) throws -> [Effect] {
    var all: [Effect] = []
    for _ in 0..<seconds {
      all += try handle(.tick, after: 1)
      for shard in shards { all += try report(shard) }
      all += try finishLedger()
    }
    return all
  }

  /// Says hello as a worker and asks for work.
  mutating func leases() throws -> [Effect] {
    let sender = Sender(run: Self.run, incarnation: Incarnation(3), peer: PeerID(rawValue: 1))
    try handle(.message(.hello(Hello(protocolVersion: 1, name: "w", threads: 1, probe: Self.probe)), from: sender))
    return try handle(.message(.ready(Ready(idleThreads: 1, held: [])), from: sender))
      .filter { if case .send(.lease, _) = $0 { true } else { false } }
  }

  var copiesToMake: Int? { coordinator.memoryStatus(at: Instant(nanoseconds: time))?.copiesToMake }

  mutating func drain(_ shard: String) throws -> String { try ask(.drainRequest(shard: shard)) }

  mutating func cancelDrain(_ shard: String) throws -> String { try ask(.stayRequest(shard: shard)) }

  private mutating func ask(_ message: WorkerMessage) throws -> String {
    let sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: PeerID(rawValue: 9))
    for effect in try handle(.message(message, from: sender)) {
      if case .send(.drain(_, let text), _) = effect { return text }
    }
    return ""
  }
}

extension [Effect] {
  /// The newest thing that a shard was told.
  func assignment(of shard: UInt64) -> Assignment? {
    reversed().lazy.compactMap {
      if case .send(.assignment(let assignment), let peer) = $0, peer.rawValue == 100 + shard {
        assignment
      } else {
        nil
      }
    }.first
  }
  func pulls(_ shard: UInt64) -> [Int] { assignment(of: shard)?.extents.map(\.extent.index) ?? [] }
  var released: [Int] {
    flatMap { effect -> [Int] in if case .releaseExtents(let extents) = effect { extents } else { [] } }
  }
  var fetched: [Int] {
    compactMap { if case .fetchExtent(let assigned) = $0 { assigned.extent.index } else { nil } }
  }
  func sends(_ shard: UInt64, away message: CoordinatorMessage) -> Bool {
    contains(.send(message, to: PeerID(rawValue: 100 + shard)))
  }
  func refuses(_ shard: UInt64, _ reason: Refusal.Reason) -> Bool {
    contains {
      if case .send(.refusal(let refusal), let peer) = $0 {
        peer.rawValue == 100 + shard && refusal.reason == reason
      } else {
        false
      }
    }
  }
  var logged: String { compactMap { if case .log(_, let text) = $0 { text } else { nil } }.joined() }
}
