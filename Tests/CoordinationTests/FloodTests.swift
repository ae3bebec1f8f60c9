import Coordination
import Messages
import Numerics
import Testing

@Suite("However much strangers say, the log stays short, tables stay bounded, and who was heard stays")
struct FloodTests {
  private func lines(_ effects: [Effect]) -> [String] {
    effects.compactMap { if case .log(_, let text) = $0 { text } else { nil } }
  }

  private func hello(_ script: inout Script, _ worker: UInt64, version: UInt32 = 2, host: String) throws -> [Effect] {
    // Without a check after each, which looks at everything.
    let sender = script.sender(worker)
    return script.coordinator.handle(
      .message(Script.hello(version: version, host: host), from: sender),
      at: Instant(nanoseconds: script.time * 1_000_000))
  }

  @Test func twentyThousandWrongHellosAreSomeLinesAndACount() throws {
    var script = Script(slices: 4)
    try script.join(1)
    var said: [String] = []
    for number in 0..<20_000 as Range<UInt64> {
      if number.isMultiple(of: 10) { script.time += 1 }
      said += try lines(hello(&script, 1_000 + number, version: 9, host: "x"))
    }
    #expect(said.count <= CoordinationLimits.linesAtOnce + 3, "\(said.count)")
    try said += lines(script.handle(.tick, after: 5_000))
    let counted = said.filter { $0.contains(" left out in ") }
    #expect(counted.count == 1 && counted[0].contains("on refused workers and shards."), "\(counted)")
    // Other kinds have lines of their own.
    #expect(try lines(script.say(.goodbye, 1)) == ["worker 'host' (1) leaves."])
  }

  @Test func aPeersNextLineOfAKindComesWithTheCountOfThoseBetween() throws {
    var script = Script()
    #expect(try lines(hello(&script, 5, version: 9, host: "x")).count == 1)
    for _ in 0..<3 { #expect(try lines(hello(&script, 5, version: 9, host: "x")).isEmpty) }
    script.time += 60_000
    let again = try lines(hello(&script, 5, version: 9, host: "x"))
    #expect(again.first?.hasSuffix("(3 more of this peer since the last such line.)") == true, "\(again)")
    #expect(again.last == "3 lines left out in 60 s: 3 on refused workers and shards.")
  }

  @Test func whoGoesOnSayingAWrongHelloIsIgnored() throws {
    var script = Script()
    for _ in 0..<CoordinationLimits.malformedMessages { #expect(try !hello(&script, 5, version: 9, host: "x").isEmpty) }
    #expect(try hello(&script, 5, host: "x").isEmpty)
  }

  @Test func fourHundredPeersBadMessagesAreSixteenEach() throws {
    var script = Script()
    func spoil(_ peer: UInt64) throws -> Bool {
      try script.handle(.malformed(from: PeerID(rawValue: peer), reason: "no envelope"))
      return !script.refusals.isEmpty
    }
    for round in 1...20 {
      for peer in 0..<400 as Range<UInt64> {
        #expect(try spoil(peer) == (round <= CoordinationLimits.malformedMessages), "peer \(peer), round \(round)")
      }
    }
    #expect(script.status.counts.malformed == 400 * CoordinationLimits.malformedMessages)
  }

  @Test func beyondTheTableStrangersAreNotAnsweredAndWorkersAreCounted() throws {
    var script = Script()
    try script.join(7_777)
    func spoil(_ peer: UInt64) -> [Effect] {
      script.coordinator.handle(
        .malformed(from: PeerID(rawValue: peer), reason: "no envelope"), at: Instant(nanoseconds: 0))
    }
    for peer in 0..<UInt64(CoordinationLimits.strangeOffenders) { #expect(!spoil(peer).isEmpty) }
    #expect(spoil(5_000).isEmpty)
    for _ in 0..<CoordinationLimits.malformedMessages { #expect(!spoil(7_777).isEmpty) }
    #expect(spoil(7_777).isEmpty && script.status.workers.isEmpty)
    // Nobody is turned away for it who says something sound.
    try script.say(Script.hello(), 5_000)
    #expect(script.status.workers.count == 1)
    try script.coordinator.checkInvariants()
  }

  @Test func aHostTakesAQuarterOfThePlaces() throws {
    var script = Script()
    try script.join(1, on: "lab")
    for worker in 100..<1_400 as Range<UInt64> { _ = try hello(&script, worker, host: "crowd") }
    #expect(script.status.workers.count == 1 + CoordinationLimits.peersOfHost)
    try script.say(Script.hello(host: "crowd"), 2_000)
    #expect(script.refusals.map(\.reason) == [.tooManyPeers])
    #expect(script.refusals[0].text.hasPrefix("Host 'crowd' has 256 workers here, and gets no more: "))
    try script.say(Script.hello(host: "crowd"), 100)
    #expect(script.refusals.isEmpty, "one that is in may say hello again")
    try script.say(Script.hello(host: "crowd"), 1)
    #expect(script.refusals.map(\.reason) == [.tooManyPeers], "nor by another name")
    try script.say(Script.hello(host: "lab"), 2)
    #expect(script.refusals.isEmpty)
    // A place that is left is free again.
    try script.say(.goodbye, 100)
    try script.say(Script.hello(host: "crowd"), 2_000)
    #expect(script.refusals.isEmpty)
  }

  @Test func bytesFromNobodyAreCountedAndRareInTheLog() throws {
    var script = Script()
    var said: [String] = []
    for _ in 0..<1_000 { said += try lines(script.handle(.malformed(from: nil, reason: "key not allowed"))) }
    #expect(said.count == CoordinationLimits.linesAtOnce && script.status.counts.malformed == 1_000)
  }
}
