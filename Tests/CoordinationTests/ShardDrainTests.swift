import Coordination
import Messages
import Numerics
import Testing

@Suite("A shard that is drained leaves once others hold what it held") struct ShardDrainTests {
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
}
