import Coordination
import Numerics
import Wire

/// A worker process: what the real one says and does, with computing that only takes time.
struct SimulatedWorker {
  /// A lease in its hands.
  struct Held {
    var lease: Lease
    var threads = 0
    /// Set once it is computed.
    var finished: Finished?
    var isPushing = false
  }

  let threads: Int
  var host = ""
  /// In quarantine, and gone.
  var isBanished = false
  /// Leases that it computed.
  var answers = 0
  /// Nanoseconds that one thread takes for one slice.
  var pace: UInt64
  /// Counts its starts: what was scheduled for an earlier life is void.
  var life = 0
  var isUp = false
  /// Of its own choosing, new at each start.
  var peer = PeerID(rawValue: 0)
  var run = RunIdentity(high: 0, low: 0)
  var incarnation = Incarnation(0)
  var isWelcome = false
  var held: [LeaseID: Held] = [:]
  var heard: UInt64 = 0
  /// SIGSTOP until then.
  var stoppedUntil: UInt64 = 0

  var idleThreads: Int { threads - held.values.reduce(0) { $0 + $1.threads } }
  var heldInOrder: [LeaseID] { held.keys.sorted() }
  var sender: Sender { Sender(run: run, incarnation: incarnation, peer: peer) }
  var ready: WorkerMessage { .ready(Ready(idleThreads: idleThreads, held: heldInOrder)) }
  var hello: WorkerMessage {
    .hello(Hello(protocolVersion: 1, name: "simulated", host: host, threads: threads, probe: Simulation.probe))
  }

  mutating func start(as peer: PeerID) {
    life += 1
    isUp = true
    self.peer = peer
    run = RunIdentity(high: 0, low: 0)
    incarnation = Incarnation(0)
    isWelcome = false
    held = [:]
  }
}
