import Coordination
import Messages
import Numerics

/// A memory shard's machine, and what happens to it, line by line. Effects are written as short words, so that a test can
/// compare them: "hello [0, 3] 2", "report 2 [+3, -4, !5] 7" (first change, changes, assignment), "copy [3]", "remove 4".
struct ShardMachineScript {
  static let run = RunIdentity(high: 1, low: 2)
  static let otherRun = RunIdentity(high: 3, low: 4)
  static let peer = PeerID(rawValue: 77)

  private(set) var machine: ShardMachine
  /// Milliseconds.
  private(set) var time: UInt64 = 0
  /// Of the last event.
  private(set) var effects: [ShardEffect] = []

  /// - Parameter held: extents, each with the rows that `extent` says.
  init(
    holding held: [Int] = [], run: RunIdentity? = nil, following incarnation: UInt64 = 0, givesUpAfter: Duration? = nil
  ) throws {
    machine = ShardMachine(
      ShardMachine.Settings(
        name: "host", shard: ShardID(high: 5, low: 6),
        address: BulkAddress(endpoint: try Endpoint("tcp://host:7")), capacity: 1000, run: run,
        incarnation: Incarnation(incarnation), peer: Self.peer, coordinator: "there", directory: "here",
        givesUpAfter: givesUpAfter),
      holding: Dictionary(uniqueKeysWithValues: held.map { ($0, Self.extent($0).after.low) }),
      at: Instant(nanoseconds: 0))
  }

  /// One that said hello and joined the run, with this incarnation of its coordinator.
  static func joined(_ incarnation: UInt64 = 1, holding held: [Int] = []) throws -> ShardMachineScript {
    var script = try ShardMachineScript(holding: held)
    try script.handle(.tick)
    try script.hear(.shardWelcome(welcome), incarnation)
    try script.handle(.joined)
    return script
  }

  static let welcome = ShardWelcome(configuration: "recipe", bulkPort: 9, rows: 0)

  static func extent(_ index: Int) -> ExtentIdentity {
    ExtentIdentity(
      index: index, before: Digest(high: 1, low: UInt64(index)), after: Digest(high: 1, low: UInt64(index) + 1))
  }

  static func held(_ index: Int) -> ExtentProgress {
    .held(HeldExtent(index: index, after: extent(index).after.low))
  }

  static func refusal(_ reason: Refusal.Reason) -> CoordinatorMessage {
    .refusal(Refusal(reason: reason, text: "Because."))
  }

  @discardableResult
  mutating func handle(_ event: ShardEvent, after milliseconds: UInt64 = 0) throws -> [String] {
    time += milliseconds
    effects = machine.handle(event, at: Instant(nanoseconds: time * 1_000_000))
    try machine.checkInvariants()
    return effects.compactMap(Self.word)
  }

  @discardableResult
  mutating func hear(
    _ message: CoordinatorMessage, _ incarnation: UInt64 = 1, run: RunIdentity = ShardMachineScript.run
  ) throws -> [String] {
    let sender = Sender(run: run, incarnation: Incarnation(incarnation), peer: PeerID(rawValue: 1))
    return try handle(.received(message, from: sender))
  }

  @discardableResult
  mutating func assign(
    _ number: UInt64, heard: UInt64 = 0, _ extents: [Int] = [], removing removed: [Int] = [], incarnation: UInt64 = 1
  ) throws -> [String] {
    let assigned = extents.map { AssignedExtent(extent: Self.extent($0), sources: [.coordinator]) }
    return try hear(
      .assignment(Assignment(number: number, heard: heard, extents: assigned, removed: removed)), incarnation)
  }

  /// What it says a second later.
  mutating func beat() throws -> [String] { try handle(.tick, after: 1_000) }

  mutating func setFigures(_ figures: ShardFigures) { machine.figures = figures }

  /// Lines for people are no words.
  var lines: [String] {
    effects.compactMap { if case .log(_, let line) = $0 { line } else { nil } }
  }

  /// On whose behalf the last event had it speak.
  var senders: [Sender] {
    effects.compactMap { if case .say(_, let sender) = $0 { sender } else { nil } }
  }

  /// The last report of the last event.
  var report: ShardReport? {
    effects.compactMap { if case .say(.report(let report), _) = $0 { report } else { nil } }.last
  }

  private static func word(_ effect: ShardEffect) -> String? {
    switch effect {
    case .say(.hello(let hello), _): "hello \(hello.held.map(\.index)) \(hello.changes)"
    case .say(.report(let report), _):
      "report \(report.first) [\(report.changes.map(word).joined(separator: ", "))] \(report.assignment)"
        + (report.isFull ? " full" : "")
    case .say(.goodbye, _): "goodbye"
    case .join(_, let sender): "join \(sender.incarnation.number)"
    case .leave: "leave"
    case .copy(let extents): "copy \(extents.map(\.extent.index))"
    case .remove(let extent): "remove \(extent)"
    case .stop(let ending): "stop \(ending)"
    case .log: nil
    }
  }

  private static func word(_ change: ExtentChange) -> String {
    switch change {
    case .held(let extent): "+\(extent.index)"
    case .removed(let extent): "-\(extent)"
    case .damaged(let extent): "!\(extent)"
    }
  }
}
