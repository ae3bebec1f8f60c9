import Coordination
import Messages
import Numerics
import Slices
import Testing

/// A coordinator and workers on a host each, all of which keep gradients, at a step that is reduced.
struct ReductionScript {
  /// Chunks of the gradient: the last one is short.
  static let chunks = 5
  static let parameters = (chunks - 1) * WireLimits.gradientChunkFloats + 1

  var script: Script
  /// Leases that each worker holds or keeps, by worker.
  var held: [UInt64: [Lease]] = [:]
  /// Reductions that are asked of workers, by worker, and of the coordinator, under 0: the newest.
  private(set) var asked: [UInt64: [Int]] = [:]
  /// Of the newest deal.
  private(set) var deal: UInt64 = 0
  private(set) var gradients: [Reduction.Gradient] = []
  private(set) var expected: ExpectedSums?
  var room = 4

  /// Every worker has delivered once and was reached, and the next step is leased: two slices a worker.
  init(hosts: Int = 3, audits: AuditSettings = AuditSettings(), room: Int = 4, exchange: Bool? = true) throws {
    self.room = room
    script = Script(
      slices: 2 * hosts, lastStep: 100, audits: audits, exchanges: exchange, parameters: Self.parameters)
    for worker in 1...UInt64(hosts) {
      let address = BulkAddress(endpoint: try Endpoint("tcp://10.0.0.\(worker):7000"))
      try tell(Script.hello(name: "w\(worker)", host: "host-\(worker)", threads: 2, address: address), worker)
    }
    for worker in 1...UInt64(hosts) { try ready(worker) }
    try finishLeases()
    if phase == "reducing" { try sumAll() }
    try update()
  }

  // MARK: What is said

  /// Takes in what follows from an event: leases, probes that find somebody, and what is asked for.
  @discardableResult
  mutating func handle(_ event: Event, after milliseconds: UInt64 = 0) throws -> [Effect] {
    let effects = try script.handle(event, after: milliseconds)
    for effect in effects {
      switch effect {
      case .send(.lease(let lease), let peer): held[peer.rawValue, default: []].append(lease)
      case .send(.cancel(let lease), let peer): held[peer.rawValue]?.removeAll { $0.lease == lease }
      case .send(.reduction(let reduction), let peer): take(reduction, by: peer.rawValue)
      case .reduce(let reduction): take(reduction, by: 0)
      case .expectSums(let sums): expected = sums
      case .probe(let address): try handle(.probed(address, failure: nil))
      default: break
      }
    }
    return effects
  }

  private mutating func take(_ reduction: Reduction, by worker: UInt64) {
    if reduction.number != deal { asked = [:] }
    deal = reduction.number
    gradients = reduction.gradients
    asked[worker, default: []] += reduction.chunks
  }

  @discardableResult
  mutating func tell(_ message: WorkerMessage, _ worker: UInt64, after milliseconds: UInt64 = 0) throws -> [Effect] {
    try handle(.message(message, from: script.sender(worker)), after: milliseconds)
  }

  @discardableResult
  mutating func ready(_ worker: UInt64, idle: Int = 2, after milliseconds: UInt64 = 0) throws -> [Effect] {
    let held = held[worker] ?? []
    return try tell(
      .ready(Ready(idleThreads: idle, held: held.map(\.lease), gradients: room)), worker, after: milliseconds)
  }

  /// Announces a lease, and has what is granted of it arrive.
  @discardableResult
  mutating func complete(
    _ lease: Lease, by worker: UInt64, bits: UInt64 = 4, after milliseconds: UInt64 = 50
  ) throws -> [Effect] {
    let finished = Script.result(of: lease, bits: bits, parameters: Self.parameters)
    return try tell(.finished(finished), worker, after: milliseconds) + handle(.pushArrived(lease.lease, .whole))
  }

  /// Every lease of the step that is held is computed and arrives.
  mutating func completeAll(but left: Set<UInt64> = []) throws {
    for (worker, leases) in held.sorted(by: { $0.key < $1.key }) where !left.contains(worker) {
      for lease in leases where lease.step == script.coordinator.step && phase == "computing" {
        try complete(lease, by: worker)
      }
    }
  }

  /// Everybody works until all slices are in.
  mutating func finishLeases(but left: Set<UInt64> = []) throws {
    for _ in 0..<20 where phase == "computing" {
      try completeAll(but: left)
      guard phase == "computing" else { return }
      for worker in 1...UInt64(script.status.workers.count) where !left.contains(worker) {
        try ready(worker, after: 10)
      }
    }
  }

  /// The step's update is done, and everybody asks for work.
  mutating func update() throws {
    held = [:]
    try handle(.updateFinished(Script.version(script.coordinator.step + 1)))
    for worker in 1...UInt64(script.status.workers.count) { try ready(worker) }
  }

  /// - Parameter worker: 0: the coordinator itself.
  @discardableResult
  mutating func sum(
    _ chunk: Int, by worker: UInt64, isFinite: Bool = true, bits: UInt64 = 1, after milliseconds: UInt64 = 1
  ) throws -> [Effect] {
    let isCompared = expected?.compared.contains(chunk) ?? false
    return try handle(
      .sumArrived(
        ArrivedSum(
          deal: deal, chunk: chunk, peer: worker == 0 ? nil : PeerID(rawValue: worker), isFinite: isFinite,
          hash: isCompared ? ContentHash(high: 0, low: bits) : nil)), after: milliseconds)
  }

  /// All that is asked for arrives.
  @discardableResult
  mutating func sumAll(but left: Set<UInt64> = []) throws -> [Effect] {
    var effects: [Effect] = []
    for (worker, chunks) in asked.sorted(by: { $0.key < $1.key }) where !left.contains(worker) {
      for chunk in chunks { effects += try sum(chunk, by: worker) }
    }
    return effects
  }

  var phase: String { script.status.phase }
}

extension [Effect] {
  /// Leases that it says, by worker.
  var leased: [(worker: UInt64, lease: Lease)] {
    compactMap { if case .send(.lease(let lease), let peer) = $0 { (peer.rawValue, lease) } else { nil } }
  }
  var quarantined: [String] {
    flatMap { effect -> [String] in if case .quarantine(let hosts, _) = effect { hosts.map(\.host) } else { [] } }
  }
}
