import Coordination
import Messages
import Numerics

/// A worker process: the real machine, around it threads whose computing only takes time.
struct SimulatedWorker {
  /// A lease in the hands of its threads.
  struct Job {
    let lease: Lease
    /// Of the coordinator that gave it.
    let incarnation: Incarnation
    /// None while it waits for some.
    var threads = 0
    /// The machine wants it no more: what is left of it is passed over.
    var isForgotten = false
  }

  /// It is gone once the run is over, or it is in quarantine.
  var process = SimulatedProcess()
  let threads: Int
  var host = ""
  /// Where others fetch weights from it; nil where they do not.
  var address: BulkAddress?
  /// Leases that it computed.
  var answers = 0
  /// Nanoseconds that one thread takes for one slice.
  var pace: UInt64
  var machine: WorkerMachine?
  /// Of the machine's; 0 without one.
  var session = 0
  var jobs: [Job] = []
  /// What was computed and is not forgotten.
  var results: [LeaseID: Finished] = [:]
  /// Gradients that it may keep for others.
  var gradientRoom = 0
  /// The newest reduction that it works on.
  var reduction: UInt64 = 0
  /// The evaluation that it works on.
  var evaluating: LeaseID?
  /// Who says what it hears now.
  var hearing = Incarnation(0)

  init(threads: Int, pace: UInt64) {
    self.threads = threads
    self.pace = pace
  }

  var idleThreads: Int { threads - jobs.reduce(0) { $0 + $1.threads } }

  mutating func start(at now: Instant) {
    let hello = Hello(
      protocolVersion: 1, name: "simulated", host: host, threads: threads, probe: Simulation.probe,
      address: address, evaluates: true)
    machine = WorkerMachine(WorkerMachine.Settings(hello: hello, peer: process.peer, coordinator: "simulated"), at: now)
    leave()
  }

  /// What the threads of the session before are at ends by itself, and nobody hears of it.
  mutating func leave() { (session, jobs, results, evaluating) = (0, [], [:], nil) }
}
