import Coordination
import Messages
import Slices
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
    var crowd = Crowd(workers: 512, threads: 4, slices: 4096, spread: 300, auditRate: 0.3)
    try crowd.run(steps: 1)
    #expect(crowd.acceptedSlices == [4096])
    #expect(crowd.script.status.counts.audited > 0)
  }
}

/// The machines of workers that compute, push and beat without a fault, as many as there may be.
private struct Crowd {
  private enum Happening {
    case toWorker(CoordinatorMessage, Int)
    case computed(Int, Lease)
    case pushed(Int, LeaseID)
    case updated
    case beat(Int)
  }

  private(set) var script: Script
  /// By step that ended.
  private(set) var acceptedSlices: [Int] = []
  /// The most leases that a worker held.
  private(set) var busiest = 0
  private var accepted = 0
  private var queue = EventQueue<UInt64, Happening>()
  private var machines: [WorkerMachine]
  private var held: [Set<LeaseID>]
  private let tree: SliceTree
  private let threads: Int
  /// Milliseconds that each worker needs for a slice on each thread.
  private let paces: [UInt64]

  /// - Parameter spread: milliseconds by which workers may be slower than the fastest, which needs 1000 for a slice.
  init(workers: Int, threads: Int, slices: Int, spread: Int, auditRate: Double = 0) {
    script = Script(slices: slices, lastStep: 1000, audits: AuditSettings(rate: auditRate, seed: 5))
    machines = (0..<workers).map { worker in
      let hello = Hello(
        protocolVersion: 2, name: "host", host: "host-\(worker % 64)", threads: threads, probe: Script.probe)
      return WorkerMachine(
        WorkerMachine.Settings(hello: hello, peer: PeerID(rawValue: UInt64(worker)), coordinator: "here"),
        at: Instant(nanoseconds: 0))
    }
    held = Array(repeating: [], count: workers)
    tree = SliceTree(count: slices)
    self.threads = threads
    paces = (0..<workers).map { 1000 + UInt64($0 * 7919 % 101 * spread / 100) }
  }

  mutating func run(steps: Int) throws {
    for worker in machines.indices {
      tell(.tick, worker)
      queue.add(.beat(worker), at: 1000 + UInt64(worker))
    }
    while acceptedSlices.count < steps, let next = queue.take() {
      script.time = max(script.time, next.time)
      happens(next.element)
    }
    try script.coordinator.checkInvariants()
    for machine in machines { try machine.checkInvariants() }
  }

  private var now: Instant { Instant(nanoseconds: script.time * 1_000_000) }

  private mutating func happens(_ happening: Happening) {
    switch happening {
    case .toWorker(let message, let worker):
      let sender = Sender(run: Script.run, incarnation: script.incarnation, peer: PeerID(rawValue: .max))
      tell(.received(message, from: sender), worker)
    case .computed(let worker, let lease):
      tell(.work(.computed(Script.result(of: lease)), session: 1), worker)
      tell(.work(.slicesEnded(lease.lease, count: lease.slices.count), session: 1), worker)
    case .pushed(let worker, let lease):
      handle(.pushArrived(lease, .whole))
      tell(.work(.pushed(lease), session: 1), worker)
    case .updated:
      acceptedSlices.append(accepted)
      accepted = 0
      handle(.updateFinished(Script.version(script.coordinator.step + 1)))
    case .beat(let worker):
      tell(.tick, worker)
      queue.add(.beat(worker), at: script.time + 1000)
    }
  }
}

// MARK: - The coordinator

extension Crowd {
  /// Without a check after each event, which looks at everything.
  private mutating func handle(_ event: Event) {
    for effect in script.coordinator.handle(event, at: now) {
      switch effect {
      case .send(let message, let peer): queue.add(.toWorker(message, Int(peer.rawValue)), at: script.time)
      case .accept(_, let finished): accepted += finished.slices.count
      case .startUpdate: queue.add(.updated, at: script.time + 10)
      default: break
      }
    }
  }
}

// MARK: - The workers

extension Crowd {
  private mutating func tell(_ event: WorkerEvent, _ worker: Int) {
    for effect in machines[worker].handle(event, at: now) {
      switch effect {
      case .say(let message, let sender): handle(.message(message, from: sender))
      case .join:
        tell(.joined(LeaseBounds(steps: 1000, tree: tree, pictures: 1000, parameters: 1), gradientRoom: 0), worker)
      case .compute(let lease):
        held[worker].insert(lease.lease)
        busiest = max(busiest, held[worker].count)
        let rounds = (lease.slices.count + threads - 1) / threads
        queue.add(.computed(worker, lease), at: script.time + UInt64(rounds) * paces[worker])
      case .push(let lease, _): queue.add(.pushed(worker, lease), at: script.time + 2)
      case .forget(let lease): held[worker].remove(lease)
      case .leave, .reduce, .evaluate, .stopEvaluating, .log, .stop: break
      }
    }
  }
}
