import Coordination
import Messages
import Numerics
import Slices

/// A worker's machine, and what happens to it, line by line. Effects are written as short words, so that a test can
/// compare them: "hello", "ready 2 [1 3]", "finished 1", "join 2", "push 1".
struct WorkerScript {
  static let run = RunIdentity(high: 1, low: 2)
  static let otherRun = RunIdentity(high: 3, low: 4)
  static let peer = PeerID(rawValue: 77)
  static let probe = Digest(high: 5, low: 5)

  private(set) var machine: WorkerMachine
  /// Milliseconds.
  private(set) var time: UInt64 = 0
  /// Of the last event.
  private(set) var effects: [WorkerEffect] = []

  init(threads: Int = 2, givesUpAfter: Duration? = nil) {
    machine = WorkerMachine(
      WorkerMachine.Settings(
        hello: Hello(protocolVersion: 2, name: "test", threads: threads, probe: Self.probe), peer: Self.peer,
        coordinator: "there", givesUpAfter: givesUpAfter), at: Instant(nanoseconds: 0))
  }

  /// One that said hello and joined the run, with this incarnation of its coordinator.
  static func joined(_ incarnation: UInt64 = 1, threads: Int = 2) throws -> WorkerScript {
    var script = WorkerScript(threads: threads)
    try script.handle(.tick)
    try script.hear(.welcome(welcome), incarnation)
    try script.join()
    return script
  }

  static let welcome = Welcome(
    configuration: "recipe", bulkPort: 9, data: DataIdentity(count: 100, digest: probe), rows: 0)

  @discardableResult
  mutating func handle(
    _ event: WorkerEvent, after milliseconds: UInt64 = 0, before stepBack: UInt64 = 0
  ) throws -> [String] {
    time += milliseconds
    time -= stepBack
    effects = machine.handle(event, at: Instant(nanoseconds: time * 1_000_000))
    try machine.checkInvariants()
    return effects.compactMap(Self.word)
  }

  @discardableResult
  mutating func hear(
    _ message: CoordinatorMessage, _ incarnation: UInt64 = 1, run: RunIdentity = WorkerScript.run
  ) throws -> [String] {
    let sender = Sender(run: run, incarnation: Incarnation(incarnation), peer: PeerID(rawValue: 1))
    return try handle(.received(message, from: sender))
  }

  @discardableResult
  mutating func join() throws -> [String] {
    // Two slices a step, of 3 the first two are a node.
    try handle(
      .joined(
        LeaseBounds(steps: 5, tree: SliceTree(count: 3), pictures: 100, parameters: 100_000), gradientRoom: 2))
  }

  /// The threads of the newest session say something.
  @discardableResult
  mutating func work(_ progress: WorkerProgress, session: Int = 1) throws -> [String] {
    try handle(.work(progress, session: session))
  }

  /// A lease of so many slices is taken, computed and announced.
  mutating func announce(_ number: UInt64, incarnation: UInt64 = 1, session: Int = 1) throws {
    try hear(.lease(Self.lease(number)), incarnation)
    try work(.computed(Self.finished(number)), session: session)
    try work(.slicesEnded(LeaseID(number), count: 1), session: session)
  }

  static func lease(
    _ number: UInt64, step: Int = 0, slices: SliceRange = SliceRange(first: 0, count: 1), rows: Int = 0,
    floor: Int = 0, lost: [Int] = []
  ) -> Lease {
    Lease(
      lease: LeaseID(number), step: step, slices: slices, student: probe, teacher: probe, rows: rows,
      memoryFloor: floor, lost: lost)
  }

  static func finished(_ number: UInt64) -> Finished {
    Finished(
      lease: LeaseID(number), step: 0, slices: SliceRange(first: 0, count: 1), payload: probe, payloadCount: 10,
      losses: [SliceLoss(consistency: 1, koleo: 0, targetEntropy: 1)], undecodable: [])
  }

  static func refusal(_ reason: Refusal.Reason) -> CoordinatorMessage {
    .refusal(Refusal(reason: reason, text: "Because."))
  }

  /// Lines for people are no words.
  var lines: [String] {
    effects.compactMap { if case .log(_, let line) = $0 { line } else { nil } }
  }

  /// On whose behalf the last event had it speak.
  var senders: [Sender] {
    effects.compactMap { if case .say(_, let sender) = $0 { sender } else { nil } }
  }

  private static func word(_ effect: WorkerEffect) -> String? {
    switch effect {
    case .say(.hello, _): "hello"
    case .say(.ready(let ready), _): "ready \(ready.idleThreads) \(ready.held.map(\.number))"
    case .say(.finished(let finished), _): "finished \(finished.lease.number)"
    case .say(.returned(let returned), _): "returned \(returned.lease.number)"
    case .say(.goodbye, _): "goodbye"
    case .say(.evaluated(let evaluated), _): "evaluated \(evaluated.lease.number)"
    case .say(let other, _): "\(other)"
    case .join(_, let sender, let session): "join \(sender.incarnation.number) as \(session)"
    case .leave: "leave"
    case .compute(let lease): "compute \(lease.lease.number)"
    case .push(let lease, let keepsGradient): "push \(lease.number)\(keepsGradient ? " without its gradient" : "")"
    case .reduce(let reduction): "reduce \(reduction.number)"
    case .evaluate(let evaluate): "evaluate \(evaluate.lease.number)"
    case .stopEvaluating: "stop evaluating"
    case .forget(let lease): "forget \(lease.number)"
    case .stop(let ending): "stop \(ending)"
    case .log: nil
    }
  }
}
