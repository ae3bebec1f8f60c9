import Coordination
import Messages
import Numerics
import Testing

/// A coordinator with a memory of extents of ten rows, and what shards say to it, line by line.
private struct ShardScript {
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
  /// Shards that nobody reaches.
  var unreachable: Set<UInt64> = []

  init(
    replicas: Int = 1, rows: Int = 100, size: Int = 100, resuming memory: ResumedMemory = ResumedMemory(),
    forgets: Bool = false, lastStep: Int = 10
  ) {
    let settings = CoordinatorSettings(
      run: Self.run, incarnation: Incarnation(3), protocolVersion: 1, probe: Self.probe,
      welcome: Welcome(
        configuration: "recipe", bulkPort: 9, data: DataIdentity(count: 10, digest: Self.probe), rows: rows),
      slices: 1, lastStep: lastStep, gradientCount: 1, floatsPerSlice: 1,
      memory: MemorySettings(
        size: size, rowsPerExtent: 10, extentBytes: 10, replicas: replicas, rowsPerStep: 10, forgetsLostRows: forgets),
      pictureName: { "\($0)" }, pictures: { _, _ in [] })
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
    for case .probeShard(let shard, let address) in effects {
      let failure = unreachable.contains(shard.low) ? "no answer" : nil
      let before = effects
      effects = try before + handle(.shardProbed(shard, address, failure: failure))
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
    _ shard: UInt64, host: String? = nil, capacity: Int = 1000, held: [HeldExtent] = [], place: String? = nil,
    as peer: UInt64? = nil
  ) throws -> [Effect] {
    said[shard] = 0
    capacities[shard] = capacity
    let address = ShardAddress(endpoint: try Endpoint("tcp://\(place ?? "h\(shard)"):7"))
    return try say(
      .hello(
        ShardHello(
          protocolVersion: 1, name: host ?? "host\(shard)", shard: Self.id(shard), address: address, capacity: capacity,
          held: held, changes: 0)), shard, as: peer)
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
  fileprivate func assignment(of shard: UInt64) -> Assignment? {
    reversed().lazy.compactMap {
      if case .send(.assignment(let assignment), let peer) = $0, peer.rawValue == 100 + shard {
        assignment
      } else {
        nil
      }
    }.first
  }
  fileprivate func pulls(_ shard: UInt64) -> [Int] { assignment(of: shard)?.extents.map(\.extent.index) ?? [] }
  fileprivate var released: [Int] {
    flatMap { effect -> [Int] in if case .releaseExtents(let extents) = effect { extents } else { [] } }
  }
  fileprivate var fetched: [Int] {
    compactMap { if case .fetchExtent(let assigned) = $0 { assigned.extent.index } else { nil } }
  }
  fileprivate func sends(_ shard: UInt64, away message: CoordinatorMessage) -> Bool {
    contains(.send(message, to: PeerID(rawValue: 100 + shard)))
  }
  fileprivate var logged: String { compactMap { if case .log(_, let text) = $0 { text } else { nil } }.joined() }
}

@Suite("Each extent is held by as many shards as it should be, and let go by nobody before") struct ShardTests {
  @Test func whatShardsServeIsSeenOfEachAndOfAll() throws {
    var script = ShardScript()
    for shard in 1...2 as ClosedRange<UInt64> { try script.join(shard) }
    for second in 0..<3 {
      for shard in 1...2 as ClosedRange<UInt64> { try script.report(shard, servedRows: 1000 * second * Int(shard)) }
      try script.handle(.tick, after: 1)
    }
    let status = try #require(script.coordinator.memoryStatus(at: Instant(nanoseconds: script.time)))
    #expect(status.shards.map(\.servedRows) == [2000, 4000])
    #expect(status.shards.map(\.servedBytes) == [128_000, 256_000])
    #expect(status.shards.map(\.rowsPerSecond) == [1000, 2000] && status.rowsPerSecond == 3000)
    #expect(status.bytesPerSecond == 192_000)
  }

  @Test func copiesGoToOtherHostsFirst() throws {
    var script = ShardScript(replicas: 2)
    try script.join(1, host: "a")
    try script.join(2, host: "a")
    try script.join(3, host: "b")
    let effects = try script.handle(.extentSealed(ShardScript.extent(0)))
    #expect([1, 2, 3].map { effects.pulls($0) } == [[0], [], [0]])
    #expect(effects.assignment(of: 3)?.extents.first?.sources == [.coordinator])
  }

  @Test func theEmptiestTakesTheNext() throws {
    var script = ShardScript()
    try script.join(1, capacity: 100)
    try script.join(2, capacity: 1000)
    for index in 0..<3 { try script.handle(.extentSealed(ShardScript.extent(index))) }
    let effects = try script.pass(1, 2)
    #expect([1, 2].map { effects.pulls($0) } == [[0], [1, 2]])
  }

  @Test func aShardPullsAFewAtATimeAndNeverMoreThanItOffers() throws {
    var script = ShardScript()
    try script.join(1, capacity: 60)
    for index in 0..<9 { try script.handle(.extentSealed(ShardScript.extent(index))) }
    #expect(try script.pass(1).pulls(1) == [0, 1, 2, 3])
    for index in 0..<4 { try script.report(1, .held(ShardScript.held(index))) }
    #expect(try script.pass(1).pulls(1) == [4, 5])
  }

  @Test func aFileIsReleasedOnlyWhenADurableLedgerNamesEnoughShards() throws {
    var script = ShardScript(replicas: 2)
    try script.join(1)
    try script.join(2)
    try script.handle(.rowsNeeded(from: 0, settled: 100))
    try script.handle(.extentSealed(ShardScript.extent(0)))
    try script.pass(1, 2)
    #expect(try script.report(1, .held(ShardScript.held(0))).released == [])
    #expect(try script.pass(1, 2).released == [])
    #expect(try script.report(2, .held(ShardScript.held(0))).released == [], "no ledger says so yet")
    #expect(try script.pass(1, 2, seconds: 2).released == [0])
  }

  @Test func aFileThatAResumeMayAppendToStays() throws {
    var script = ShardScript()
    try script.join(1)
    try script.handle(.rowsNeeded(from: 0, settled: 99))
    try script.handle(.extentSealed(ShardScript.extent(9)))
    try script.report(1, .held(ShardScript.held(9)))
    #expect(try script.pass(1, seconds: 3).released == [])
    #expect(try script.handle(.rowsNeeded(from: 0, settled: 100)).released == [9])
  }

  @Test func changesThatWereLostAreWaitedFor() throws {
    var script = ShardScript()
    try script.join(1)
    try script.handle(.extentSealed(ShardScript.extent(0)))
    let later = ShardReport(first: 1, changes: [.held(ShardScript.held(0))], used: 0, capacity: 1000, assignment: 0)
    #expect(try script.say(.report(later), 1).assignment(of: 1)?.heard == 0)
    let both = ShardReport(
      first: 0, changes: [.removed(7), .held(ShardScript.held(0))], used: 0, capacity: 1000, assignment: 0)
    #expect(try script.say(.report(both), 1).assignment(of: 1)?.heard == 2)
    #expect(script.coordinator.holders(first: 0, count: 1).holders == [[0]])
  }

  @Test func aDrainedShardLeavesWhenOthersHoldWhatItHeld() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    try script.join(1, held: [ShardScript.held(0)])
    try script.join(2)
    #expect(try script.drain("host1") == "Memory shard 'host1' gives its 1 extents to others, then leaves.")
    #expect(script.effects.pulls(2) == [0])
    #expect(!(try script.pass(1, 2, seconds: 3).sends(1, away: .finished)))
    #expect(!(try script.report(2, .held(ShardScript.held(0))).sends(1, away: .finished)), "no ledger says so yet")
    #expect(try script.pass(1, 2, seconds: 2).sends(1, away: .finished))
    #expect(try script.report(1).sends(1, away: .finished), "said again, for it may be lost")
  }

  @Test func theCoordinatorTakesWhatNoOtherShardHasRoomFor() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    try script.join(1, held: [ShardScript.held(0)])
    _ = try script.drain("host1")
    #expect(script.effects.fetched == [0])
    #expect(!(try script.pass(1, seconds: 2).sends(1, away: .finished)))
    #expect(try script.handle(.extentFetched(0, failure: nil)).sends(1, away: .finished))
  }

  @Test func aFileStaysWhileALedgerIsWrittenThatDoesNotNameItsHolder() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    try script.join(1, held: [ShardScript.held(0)])
    try script.handle(.rowsNeeded(from: 0, settled: 100))
    try script.pass(1)
    _ = try script.drain("host1")
    try script.pass(1)
    #expect(try script.handle(.extentFetched(0, failure: nil)).sends(1, away: .finished))
    // It is back before it is heard again, a ledger is begun: the durable one names it, this one does not.
    try script.hello(1, held: [ShardScript.held(0)], as: 201)
    _ = try script.finishLedger()
    try script.handle(.tick, after: 2)
    #expect(script.newestLedger.entries.map(\.holders) == [[]])
    #expect(try script.report(1, as: 201).released == [])
    #expect(try script.finishLedger().released == [])
    try script.handle(.tick, after: 2)
    #expect(try script.finishLedger().released == [0])
  }

  @Test func aDrainThatIsCalledOffLeavesTheShardWithWhatItHolds() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    try script.join(1, held: [ShardScript.held(0)])
    try script.join(2)
    #expect(try script.cancelDrain("host1") == "Memory shard 'host1' is not being drained.")
    #expect(script.copiesToMake == 0)
    _ = try script.drain("host1")
    #expect(script.effects.pulls(2) == [0])
    #expect(script.copiesToMake == 1)
    try script.pass(1, 2, seconds: 2)
    #expect(script.newestLedger.shards[ShardScript.id(1)]?.isDraining == true)
    #expect(try script.cancelDrain("host1") == "Memory shard 'host1' stays: its drain is called off.")
    #expect(script.effects.pulls(2) == [], "one copy is enough, and it is where it was")
    #expect(script.copiesToMake == 0)
    #expect(!(try script.pass(1, 2, seconds: 5).sends(1, away: .finished)))
    #expect(script.coordinator.holders(first: 0, count: 1).holders == [[0]])
    #expect(script.newestLedger.shards[ShardScript.id(1)]?.isDraining == false)
    #expect(try script.cancelDrain("x").contains("No memory shard is called 'x'. There are 'host1'"))
  }

  @Test func aDrainOfAShardThatIsAwayCanBeCalledOff() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    try script.join(1, held: [ShardScript.held(0)])
    _ = try script.drain("host1")
    try script.pass(1, seconds: 2)
    var later = ShardScript(resuming: ResumedMemory(ledger: script.newestLedger))
    #expect(try later.cancelDrain("host1") == "Memory shard 'host1' stays: its drain is called off.")
    try later.join(1, held: [ShardScript.held(0)])
    #expect(later.effects.fetched == [])
  }

  @Test func aShardThatIsNotThereCannotBeDrained() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    #expect(try script.drain("host1") == "Memory shard 'host1' is away: start it again, then drain it.")
    #expect(try script.drain("x").contains("No memory shard is called 'x'. There are 'host1'"))
  }

  @Test func stepsWaitForAShardThatIsAwayAndSayWhichRows() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<2, 1)))
    #expect(try script.leases().isEmpty)
    let words = try script.pass(seconds: 7).logged
    #expect(words.contains("Waiting for the memory's rows 0 to 19 (2 extents), which memory shard 'host1'"))
    #expect(words.contains("start it again with its directory"))
    try script.join(1, held: [ShardScript.held(0), ShardScript.held(1)])
    #expect(try script.leases().count == 1)
    #expect(script.stops.isEmpty)
  }

  @Test func damageIsMendedFromAReplica() throws {
    var script = ShardScript(replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1, 2)))
    try script.join(1, held: [ShardScript.held(0)])
    try script.join(2, held: [ShardScript.held(0)])
    let effects = try script.report(2, .damaged(0))
    #expect(effects.pulls(2) == [0])
    #expect(effects.logged.contains("found rows 0 to 9 damaged"))
    #expect(try script.leases().count == 1)
  }

  @Test func damageOfManyExtentsIsOneLine() throws {
    var script = ShardScript(replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<3, 1, 2)))
    try script.join(1, held: (0..<3).map { ShardScript.held($0) })
    try script.join(2, held: (0..<3).map { ShardScript.held($0) })
    let effects = try script.report(2, .damaged(0), .damaged(2), .damaged(1))
    let lines = effects.filter { if case .log = $0 { true } else { false } }
    #expect(lines.count == 1 && effects.logged.contains("found rows 0 to 29 damaged (3 extents of them)"))
  }

  @Test func whatNobodyHasAnyMoreStopsTheRun() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<2, 1)))
    try script.join(1, held: [ShardScript.held(0), ShardScript.held(1)])
    try script.report(1, .damaged(1))
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(
      why
        == "The memory's rows 10 to 19 are lost, 1 extents of them for good: no memory shard has them any more ('host1' "
        + "(\(ShardScript.id(1))) had them). A start with --forget-lost-rows computes all rows below 20 from their number instead, and goes on with another result."
    )
  }

  @Test func lostRowsAreForgottenOnlyAfterShardsHadTimeToCome() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<2, 1)), forgets: true)
    #expect(try script.leases().isEmpty)
    #expect(!(try script.pass(seconds: 29).contains(.raiseFloor(to: 20))))
    #expect(try script.pass(seconds: 2).contains(.raiseFloor(to: 20)))
    let lease = try script.leases().first
    guard case .send(.lease(let lease), _) = try #require(lease) else { throw CancellationError() }
    #expect(lease.memoryFloor == 20)
  }

  @Test func whatWasLostIsForgottenAtOnceAndItsLastHolderStaysInTheLedger() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<2, 1)), forgets: true)
    #expect(try script.join(1, held: [ShardScript.held(0)]).contains(.raiseFloor(to: 20)))
    try script.pass(1, seconds: 2)
    #expect(script.newestLedger.entries.map(\.holders) == [[ShardScript.id(1)], [ShardScript.id(1)]])
    #expect(script.newestLedger.shards[ShardScript.id(1)]?.name == "host1")
  }

  @Test func aHelloThatADeadProcessLeftBehindLosesNothing() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<2, 1)))
    try script.join(1, held: [ShardScript.held(0), ShardScript.held(1)])
    // From before it had any, and from a process that was never heard.
    try script.hello(1, held: [], as: 555)
    try script.pass(seconds: 8)
    #expect(script.stops.isEmpty)
    try script.join(1, held: [ShardScript.held(0), ShardScript.held(1)])
    #expect(try script.leases().count == 1)
  }

  @Test func anEmptyShardInThePlaceOfOneThatIsAwayTellsThatItsRowsAreLost() throws {
    var script = ShardScript()
    try script.join(1, place: "p")
    try script.handle(.rowsNeeded(from: 0, settled: 100))
    try script.handle(.extentSealed(ShardScript.extent(0)))
    try script.report(1, .held(ShardScript.held(0)))
    #expect(try script.pass(1, seconds: 3).released == [0])
    // Of another name, or elsewhere, it is just another one.
    try script.join(2, host: "host2", place: "p")
    try script.join(3, host: "host1", place: "q")
    try script.pass(2, 3, seconds: 8)
    #expect(script.stops.isEmpty)
    let known = Ledger(entries: script.newestLedger.entries, shards: script.newestLedger.shards)
    try script.join(4, host: "host1", place: "p")
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.contains("rows 0 to 9 are lost") && why.contains("'host1' (\(ShardScript.id(1))) had them"))

    // A later coordinator knows from the ledger where it served.
    var later = ShardScript(resuming: ResumedMemory(ledger: known))
    try later.join(4, host: "host1", place: "p")
    #expect(later.stops.count == 1)
  }

  @Test func aShardThatCannotBeReachedGetsNothingAndIsNamed() throws {
    var script = ShardScript()
    script.unreachable = [1]
    #expect(
      try script.join(1).logged.contains(
        "Memory shard 'host1' cannot be reached at tcp://h1:7: no answer. Its rows are not counted, and it gets none"))
    try script.handle(.extentSealed(ShardScript.extent(0)))
    #expect(try script.pass(1, seconds: 3).pulls(1) == [])
    script.unreachable = []
    #expect(try script.pass(1, seconds: 4).pulls(1) == [0])
  }

  @Test func aFullDiskIsLeftAloneForAWhile() throws {
    var script = ShardScript()
    try script.join(1)
    #expect(try script.handle(.extentSealed(ShardScript.extent(0))).pulls(1) == [0])
    let full = ShardReport(
      first: 0, changes: [], used: 0, capacity: 1000, isFull: true, assignment: 2, problem: "no room for extent 0")
    #expect(try script.say(.report(full), 1).logged == "Memory shard 'host1': no room for extent 0")
    #expect(try script.pass(1, seconds: 25).pulls(1) == [])
    #expect(try script.pass(1, seconds: 6).pulls(1) == [0])
  }

  @Test func aDrainOutlivesTheShardAndTheCoordinator() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    try script.join(1, held: [ShardScript.held(0)])
    _ = try script.drain("host1")
    try script.pass(1, seconds: 2)
    #expect(script.newestLedger.shards[ShardScript.id(1)]?.isDraining == true)
    // Another process of it.
    try script.join(1, held: [ShardScript.held(0)], as: 555)
    #expect(script.coordinator.memoryStatus(at: Instant(nanoseconds: script.time))?.shards.first?.state == "draining")

    var later = ShardScript(resuming: ResumedMemory(ledger: script.newestLedger))
    try later.join(1, held: [ShardScript.held(0)])
    #expect(later.effects.fetched == [0])
    #expect(try later.handle(.extentFetched(0, failure: nil)).sends(1, away: .finished))
  }

  /// Lets shards do what they are told, a second at a time, until nothing is under way.
  /// - Returns: how many extents each has.
  private func settle(_ script: inout ShardScript, _ shards: [UInt64: Set<Int>]) throws -> [UInt64: Int] {
    var (shards, quiet) = (shards, 0)
    while quiet < 8 {
      quiet += 1
      var effects = try script.handle(.tick, after: 1)
      for shard in shards.keys.sorted() { effects += try script.report(shard) }
      effects += try script.finishLedger()
      for shard in shards.keys.sorted() {
        guard let assignment = effects.assignment(of: shard) else { continue }
        #expect(assignment.extents.count <= 2, "at a bounded rate")
        for index in assignment.removed where shards[shard]?.remove(index) != nil {
          quiet = 0
          try script.report(shard, .removed(index))
        }
        for index in assignment.extents.map(\.extent.index) where shards[shard]?.insert(index).inserted ?? false {
          quiet = 0
          try script.report(shard, .held(ShardScript.held(index)))
        }
      }
      // Nothing is ever on fewer shards than it was.
      let table = script.coordinator.holders(first: 0, count: 9).holders
      #expect(table.allSatisfy { !$0.isEmpty }, "\(table)")
    }
    return shards.mapValues(\.count)
  }

  @Test func aShardThatJoinsGetsItsShareOfWhatThereIs() throws {
    // One extent would fill the third to a half, and the first is full to a tenth.
    for (capacity, expected) in [(1000, 4), (500, 3), (20, 0)] {
      var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<9, 1)))
      try script.join(1, held: (0..<9).map(ShardScript.held))
      try script.join(2, capacity: capacity)
      let time = Instant(nanoseconds: script.time)
      #expect(script.coordinator.memoryStatus(at: time)?.movesToMake == expected)
      #expect(try settle(&script, [1: Set(0..<9), 2: []]) == [1: 9 - expected, 2: expected])
      let status = try #require(script.coordinator.memoryStatus(at: Instant(nanoseconds: script.time)))
      #expect(status.movesToMake == 0 && status.movesMade == expected && status.copiesMade == 0)
    }
  }

  @Test func copiesStayOnDifferentHostsWhenTheyAreMoved() throws {
    var script = ShardScript(replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<8, 1, 2)))
    try script.join(1, host: "a", held: (0..<8).map(ShardScript.held))
    try script.join(2, host: "b", held: (0..<8).map(ShardScript.held))
    try script.join(3, host: "a")
    #expect(try settle(&script, [1: Set(0..<8), 2: Set(0..<8), 3: []]) == [1: 4, 2: 8, 3: 4])
  }

  @Test func otherRowsFromBeforeAResumeAreRemoved() throws {
    var script = ShardScript(rows: 20)
    try script.join(1, held: [ShardScript.held(2), HeldExtent(index: 3, after: 77)])
    #expect(script.effects.assignment(of: 1)?.removed == [])
    var effects = try script.handle(.extentSealed(ShardScript.extent(2)))
    #expect(effects.pulls(1) == [] && script.coordinator.holders(first: 2, count: 1).holders == [[0]])
    effects = try script.handle(.extentSealed(ShardScript.extent(3)))
    #expect(effects.assignment(of: 1)?.removed == [3])
    #expect(try script.report(1, .removed(3)).pulls(1) == [3])
  }

  @Test func whatNobodyNeedsIsRemoved() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<3, 1)))
    try script.join(1, held: (0..<3).map(ShardScript.held))
    #expect(try script.handle(.rowsNeeded(from: 19, settled: 100)).assignment(of: 1)?.removed == [0])
    #expect(try script.handle(.rowsNeeded(from: 20, settled: 100)).assignment(of: 1)?.removed == [0, 1])
  }

  @Test func aShardThatIsAwayForLongIsReplacedAndGivesBackWhatIsTooMuch() throws {
    var script = ShardScript(replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1, 2)))
    try script.join(1, held: [ShardScript.held(0)])
    try script.join(2, held: [ShardScript.held(0)])
    try script.join(3)
    #expect(try script.pass(1, 3, seconds: 25).pulls(3) == [], "its restart is cheaper")
    #expect(try script.pass(1, 3, seconds: 8).pulls(3) == [0])
    try script.report(3, .held(ShardScript.held(0)))
    try script.pass(1, 3, seconds: 2)
    try script.join(2, capacity: 20, held: [ShardScript.held(0)])
    let effects = try script.pass(1, 2, 3, seconds: 3)
    #expect([1, 2, 3].map { effects.assignment(of: $0)?.removed ?? [] } == [[], [0], []])
  }

  @Test func aRestartedShardTakesItsPlaceAndACopiedOneDoesNot() throws {
    var script = ShardScript()
    try script.hello(1, as: 101)
    let isWelcome = { (effects: [Effect]) in
      effects.contains { if case .send(.shardWelcome, _) = $0 { true } else { false } }
    }
    #expect(isWelcome(try script.hello(1, as: 555)))
    // A hello that a dead process left behind costs the living one nothing.
    #expect(isWelcome(try script.hello(1, as: 101)))
    #expect(isWelcome(try script.hello(1, as: 555)))
    try script.report(1, as: 555)
    let refusals = try script.hello(1, as: 101).compactMap {
      if case .send(.refusal(let refusal), _) = $0 { refusal } else { nil }
    }
    #expect(refusals.first?.reason == .duplicateShard)
    #expect(refusals.first?.text.contains("two shards on one directory") ?? false)
    try script.handle(.tick, after: 6)
    #expect(isWelcome(try script.hello(1, as: 101)), "the other one is dead")
  }

  @Test(arguments: [true, false]) func theEndWaitsAMomentUntilShardsHaveHeardOfIt(saysGoodbye: Bool) throws {
    var script = ShardScript(lastStep: 4)
    let end = Effect.send(.finished, to: PeerID(rawValue: 101))
    #expect(try script.join(1).contains(end) && script.stops.isEmpty)
    #expect(try script.report(1).contains(end), "the word may have been lost")
    if saysGoodbye { try script.say(.goodbye, 1) } else { try script.handle(.tick, after: 2) }
    #expect(script.stops == [.finished])
  }

  @Test func anotherRunsShardIsRefused() throws {
    var script = ShardScript()
    let sender = Sender(run: RunIdentity(high: 8, low: 8), incarnation: Incarnation(1), peer: PeerID(rawValue: 5))
    let hello = ShardHello(
      protocolVersion: 1, name: "h", shard: ShardScript.id(1),
      address: ShardAddress(endpoint: try Endpoint("tcp://h:7")), capacity: 1, held: [], changes: 0)
    try script.handle(.shardMessage(.hello(hello), from: sender))
    #expect(
      script.effects.contains {
        if case .send(.refusal(let refusal), _) = $0 { refusal.reason == .otherRun } else { false }
      })
  }
}
