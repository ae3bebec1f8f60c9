import Coordination
import Messages
import Numerics
import Testing

@Suite("Rows that are away are waited for, damaged ones copied again, and lost ones told of") struct ShardLossTests {
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

  /// The first hello of a process comes before the coordinator has reached it, where its dead predecessor seemed to be.
  @Test func whoIsHeardIsNotLostToADeadShardAtItsAddress() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 2)))
    try script.join(1, host: "host2", place: "place")
    try script.join(2, held: [ShardScript.held(0)], place: "place")
    try script.pass(2, seconds: 3)
    #expect(script.stops.isEmpty)
    #expect(try script.leases().count == 1)
  }

  /// It was not heard for a while, and its dead predecessor's last words were late.
  @Test func whoWasTakenForLostIsAskedForANewHello() throws {
    var script = ShardScript(replicas: 2, resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 2, 3)))
    try script.join(1, host: "host2", place: "place")
    try script.join(2, held: [ShardScript.held(0)], place: "place")
    try script.join(3, held: [ShardScript.held(0)])
    let words = try script.pass(1, 3, seconds: 8).logged
    #expect(words.contains("are taken for lost, unless a shard comes back with them"))
    #expect(script.copiesToMake == 1)
    #expect(try script.report(2).refuses(2, .unknownPeer))
    try script.join(2, held: [ShardScript.held(0)], place: "place")
    #expect(script.copiesToMake == 0)
  }

  @Test func anOldHelloOfTheSameProcessLosesNothing() throws {
    var script = ShardScript(resuming: ResumedMemory(ledger: ShardScript.ledger(0..<1, 1)))
    // From before it had anything, to the incarnation before, which heard that it has an extent since.
    try script.hello(1, held: [])
    let report = ShardReport(first: 1, changes: [], used: 0, capacity: 1000, assignment: 0)
    #expect(try script.say(.report(report), 1).refuses(1, .unknownPeer))
    try script.pass(seconds: 3)
    #expect(script.stops.isEmpty)
    try script.hello(1, held: [ShardScript.held(0)], changes: 1)
    #expect(!(try script.say(.report(report), 1).refuses(1, .unknownPeer)))
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
}
