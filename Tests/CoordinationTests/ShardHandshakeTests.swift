import Coordination
import Messages
import Numerics
import Testing

@Suite("A shard is believed once it answers, and is heard in order") struct ShardHandshakeTests {
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

  @Test func changesThatWereLostAreWaitedFor() throws {
    var script = ShardScript()
    try script.join(1)
    try script.handle(.extentSealed(ShardScript.extent(0)))
    // Whoever says the second without the first goes by another hello: it is to say a new one.
    let later = ShardReport(first: 1, changes: [.held(ShardScript.held(0))], used: 0, capacity: 1000, assignment: 0)
    #expect(try script.say(.report(later), 1).refuses(1, .unknownPeer))
    #expect(script.coordinator.holders(first: 0, count: 1).holders == [[]])
    let both = ShardReport(
      first: 0, changes: [.removed(7), .held(ShardScript.held(0))], used: 0, capacity: 1000, assignment: 0)
    #expect(try script.say(.report(both), 1).assignment(of: 1)?.heard == 2)
    #expect(script.coordinator.holders(first: 0, count: 1).holders == [[0]])
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
      address: BulkAddress(endpoint: try Endpoint("tcp://h:7")), capacity: 1, held: [], changes: 0)
    try script.handle(.shardMessage(.hello(hello), from: sender))
    #expect(
      script.effects.contains {
        if case .send(.refusal(let refusal), _) = $0 { refusal.reason == .otherRun } else { false }
      })
  }
}
