import Coordination
import Messages
import Testing

@Suite("Hundreds of workers are leased a step's slices without a look at all of them for each")
struct ManyWorkersTests {
  /// What is bounded is work, not time: with a look at each slice, lease and worker for each idle worker this took
  /// minutes.
  @Test("A step of 4096 slices ends, whether all workers are alike or not", arguments: [0, 300])
  func aStepOf4096SlicesEnds(spread: Int) throws {
    var crowd = Crowd(workers: 512, threads: 4, slices: 4096, spread: spread)
    try crowd.run(steps: 2)
    #expect(crowd.acceptedSlices == [4096, 4096])
    #expect(crowd.busiest <= CoordinationLimits.leases(threads: 4))
  }

  @Test func withAuditsItEndsTheSame() throws {
    var crowd = Crowd(workers: 512, threads: 4, slices: 4096, spread: 300, auditRate: 0.01)
    try crowd.run(steps: 1)
    #expect(crowd.acceptedSlices == [4096])
    #expect(crowd.script.status.counts.audited > 0)
  }
}

/// Workers that compute, push and beat without a fault, as many as there may be.
private struct Crowd {
  private enum Happening {
    case computed(Int, LeaseID)
    case pushed(LeaseID)
    case updated
    case beat(Int)
  }

  private(set) var script: Script
  /// By step that ended.
  private(set) var acceptedSlices: [Int] = []
  /// The most leases that a worker held.
  private(set) var busiest = 0
  private var accepted = 0
  private var queue = EventQueue<Happening>()
  private var held: [[LeaseID: (lease: Lease, isComputing: Bool)]]
  private let threads: Int
  /// Milliseconds that each worker needs for a slice on each thread.
  private let paces: [UInt64]

  /// - Parameter spread: milliseconds by which workers may be slower than the fastest, which needs 1000 for a slice.
  init(workers: Int, threads: Int, slices: Int, spread: Int, auditRate: Double = 0) {
    script = Script(slices: slices, lastStep: 1000, audits: AuditSettings(rate: auditRate, seed: 5))
    held = Array(repeating: [:], count: workers)
    self.threads = threads
    paces = (0..<workers).map { 1000 + UInt64($0 * 7919 % 101 * spread / 100) }
  }

  mutating func run(steps: Int) throws {
    for worker in held.indices {
      say(Script.hello(host: "host-\(worker % 64)", threads: threads), worker)
    }
    for worker in held.indices {
      sayReady(worker)
      queue.push(.beat(worker), at: 1000 + UInt64(worker))
    }
    while acceptedSlices.count < steps, let next = queue.pop() {
      script.time = max(script.time, next.time)
      happens(next.element)
    }
    try script.coordinator.checkInvariants()
  }

  /// Without a check after each event, which looks at everything.
  private mutating func handle(_ event: Event) {
    for effect in script.coordinator.handle(event, at: Instant(nanoseconds: script.time * 1_000_000)) {
      carryOut(effect)
    }
  }

  private mutating func say(_ message: WorkerMessage, _ worker: Int) {
    handle(.message(message, from: script.sender(UInt64(worker))))
  }

  private mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(.lease(let lease), let peer):
      let worker = Int(peer.rawValue)
      held[worker][lease.lease] = (lease, true)
      busiest = max(busiest, held[worker].count)
      let rounds = (lease.slices.count + threads - 1) / threads
      queue.push(.computed(worker, lease.lease), at: script.time + UInt64(rounds) * paces[worker])
    case .send(.cancel(let lease), let peer): held[Int(peer.rawValue)][lease] = nil
    case .send(.grant(let lease), _): queue.push(.pushed(lease), at: script.time + 2)
    case .accept(let id, let finished):
      accepted += finished.slices.count
      for worker in held.indices { held[worker][id] = nil }
    case .startUpdate: queue.push(.updated, at: script.time + 10)
    default: break
    }
  }

  private mutating func happens(_ happening: Happening) {
    switch happening {
    case .computed(let worker, let id):
      if let lease = held[worker][id]?.lease {
        held[worker][id]?.isComputing = false
        say(.finished(Script.result(of: lease)), worker)
      }
      sayReady(worker)
    case .pushed(let id): handle(.pushArrived(id, .whole))
    case .updated:
      acceptedSlices.append(accepted)
      accepted = 0
      handle(.updateFinished(Script.version(script.coordinator.step + 1)))
    case .beat(let worker):
      sayReady(worker)
      queue.push(.beat(worker), at: script.time + 1000)
    }
  }

  private mutating func sayReady(_ worker: Int) {
    let busy = held[worker].values.reduce(0) { $0 + ($1.isComputing ? min($1.lease.slices.count, threads) : 0) }
    say(.ready(Ready(idleThreads: max(0, threads - busy), held: held[worker].keys.sorted())), worker)
  }
}
