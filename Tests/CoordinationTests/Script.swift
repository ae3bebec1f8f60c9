import Coordination
import Messages
import Numerics
import Slices

/// A coordinator, and what is said to it, line by line. A test sets what it is about; the rest are defaults.
struct Script {
  static let run = RunIdentity(high: 1, low: 2)
  static let probe = Digest(high: 5, low: 5)
  static let parameters = 100

  var coordinator: Coordinator
  /// Milliseconds.
  var time: UInt64 = 0
  /// Of the last event.
  private(set) var effects: [Effect] = []
  let incarnation = Incarnation(3)

  init(
    slices: Int = 4, lastStep: Int = 10, from step: Int = 0, durableStep: Int? = nil, allowsMixed: Bool = false,
    pictures: Int = 1000, everySteps: Int? = nil, keepEvery: Int? = nil,
    every: Duration? = nil, audits: AuditSettings = AuditSettings(), libraries: LibraryVersions = LibraryVersions(),
    undecodable: Set<Int> = [], lost: [LostPicture] = [], peersAtMost: Int = CoordinationLimits.peers,
    exchanges: Bool? = nil, parameters: Int = Self.parameters, probe: Digest? = Self.probe,
    evaluation: EvaluationSettings? = nil
  ) {
    let settings = CoordinatorSettings(
      run: Self.run, incarnation: incarnation,
      compatibility: Compatibility(
        protocolVersion: 2, probe: probe, computes: probe != nil, libraries: libraries, allowsMixed: allowsMixed),
      welcome: Welcome(
        configuration: "recipe", bulkPort: 9, data: DataIdentity(count: pictures, digest: Self.probe), rows: 0),
      shape: StepShape(slices: slices, gradientCount: parameters, floatsPerSlice: 10, watchedSlots: 12),
      lastStep: lastStep,
      checkpoints: CheckpointCadence(everySteps: everySteps, keepEverySteps: keepEvery, every: every),
      peersAtMost: peersAtMost, audits: audits, exchanges: exchanges,
      pictures: PictureSettings(
        name: { "picture-\($0).jpg" },
        ofSlice: { step, slice in [100 * step + 2 * slice, 100 * step + 2 * slice + 1] },
        undecodable: undecodable, lost: lost),
      evaluation: evaluation)
    coordinator = Coordinator(
      settings, resuming: Self.version(step), durableStep: durableStep, at: Instant(nanoseconds: 0))
  }

  static func version(_ step: Int) -> VersionIdentity {
    VersionIdentity(
      step: step, student: Digest(high: 8, low: UInt64(step)), teacher: Digest(high: 9, low: UInt64(step)),
      rows: 100 * step, memoryFloor: 0)
  }

  @discardableResult
  mutating func handle(_ event: Event, after milliseconds: UInt64 = 0) throws -> [Effect] {
    time += milliseconds
    effects = coordinator.handle(event, at: Instant(nanoseconds: time * 1_000_000))
    try coordinator.checkInvariants()
    return effects
  }

  func sender(_ worker: UInt64) -> Sender {
    Sender(run: Self.run, incarnation: incarnation, peer: PeerID(rawValue: worker))
  }

  @discardableResult
  mutating func say(_ message: WorkerMessage, _ worker: UInt64, after milliseconds: UInt64 = 0) throws -> [Effect] {
    try handle(.message(message, from: sender(worker)), after: milliseconds)
  }

  static func hello(
    version: UInt32 = 2, name: String = "host", host: String? = nil, threads: Int = 1, probe: Digest = probe,
    libraries: LibraryVersions = LibraryVersions(), address: BulkAddress? = nil, evaluates: Bool = false
  )
    -> WorkerMessage
  {
    .hello(
      Hello(
        protocolVersion: version, name: name, host: host, threads: threads, probe: probe, libraries: libraries,
        address: address, evaluates: evaluates))
  }

  /// Says hello and asks for work.
  @discardableResult
  mutating func join(
    _ worker: UInt64, on host: String = "host", threads: Int = 1, at address: BulkAddress? = nil,
    after milliseconds: UInt64 = 0
  ) throws -> [Lease] {
    try say(
      Self.hello(
        name: host == "host" ? host : "\(host)/\(worker)", host: host, threads: threads, address: address), worker,
      after: milliseconds)
    return try ready(worker, idle: threads)
  }

  @discardableResult
  mutating func ready(
    _ worker: UInt64, idle: Int, held: [LeaseID] = [], after milliseconds: UInt64 = 0
  ) throws -> [Lease] {
    try say(.ready(Ready(idleThreads: idle, held: held)), worker, after: milliseconds)
    return leases(to: worker)
  }

  /// - Parameter bits: other than 4 is wrong.
  static func result(
    of lease: Lease, loss: Double = 1, undecodable: [Int] = [], bits: UInt64 = 4, parameters: Int = parameters
  ) -> Finished {
    Finished(
      lease: lease.lease, step: lease.step, slices: lease.slices, payload: Digest(high: 4, low: bits),
      payloadCount: parameters + 10 * lease.slices.count,
      losses: lease.slices.indices.map { _ in SliceLoss(consistency: loss, koleo: 0, targetEntropy: 1) },
      chosen: [0xFF, 0x0F],
      undecodable: undecodable.map { UndecodablePicture(picture: $0, reason: "no JPEG") },
      gradient: lease.hashesGradient
        ? GradientIdentity(digest: Digest(high: 6, low: bits), hash: ContentHash(high: 6, low: bits)) : nil)
  }

  /// Computes a lease and has its payload arrive.
  @discardableResult
  mutating func complete(
    _ lease: Lease, by worker: UInt64, undecodable: [Int] = [], after milliseconds: UInt64 = 0
  ) throws -> [Effect] {
    let first = try say(
      .finished(Self.result(of: lease, undecodable: undecodable)), worker, after: milliseconds)
    return first + (try handle(.pushArrived(lease.lease, .whole)))
  }

  func leases(to worker: UInt64) -> [Lease] {
    effects.compactMap {
      if case .send(.lease(let lease), let peer) = $0, peer.rawValue == worker { lease } else { nil }
    }
  }

  var refusals: [Refusal] {
    effects.compactMap { if case .send(.refusal(let refusal), _) = $0 { refusal } else { nil } }
  }

  var stops: [StopReason] { effects.compactMap { if case .stop(let reason) = $0 { reason } else { nil } } }

  var status: Status { coordinator.status(at: Instant(nanoseconds: time * 1_000_000)) }
}

extension [Effect] {
  func cancels(_ lease: Lease, of worker: UInt64) -> Bool {
    contains(.send(.cancel(lease.lease), to: PeerID(rawValue: worker)))
  }
  func grants(_ lease: Lease, to worker: UInt64) -> Bool {
    contains(.send(.grant(lease.lease), to: PeerID(rawValue: worker)))
  }
  var accepted: [SliceRange] { compactMap { if case .accept(_, let finished) = $0 { finished.slices } else { nil } } }
}
