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
    #expect(try lines(script.say(.goodbye, 1)) == ["worker 'host' (\(PeerID(rawValue: 1).fingerprint)) leaves."])
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

  /// From where a crowd comes, and others.
  private let crowd = Origin.ipv4(0x0A00_0001)
  private let elsewhere = Origin.ipv6(7)

  private func join(_ script: inout Script, _ worker: UInt64, host: String, from origin: Origin) throws {
    try script.handle(.message(Script.hello(host: host), from: script.sender(worker), origin: origin))
  }

  @Test func aCrowdThatLiesAboutItsHostsLeavesPlacesToWhoComesFromElsewhere() throws {
    var script = Script(slices: 4)
    for worker in 0..<1_400 as Range<UInt64> {
      _ = script.coordinator.handle(
        .message(Script.hello(host: "host-\(worker)"), from: script.sender(worker), origin: crowd),
        at: Instant(nanoseconds: 0))
    }
    #expect(script.status.workers.count == CoordinationLimits.peers)
    // The oldest of them hold the step's leases.
    for worker in 0..<4 as Range<UInt64> { #expect(try script.ready(worker, idle: 1).count == 1) }
    try join(&script, 5_000, host: "honest", from: elsewhere)
    #expect(script.effects.contains { if case .send(.welcome, PeerID(rawValue: 5_000)) = $0 { true } else { false } })
    #expect(script.status.workers.count == CoordinationLimits.peers)
    let newest = UInt64(CoordinationLimits.peers - 1)
    guard
      case .send(.refusal(let refusal), PeerID(rawValue: newest))? = script.effects.first(where: {
        if case .send(.refusal, _) = $0 { true } else { false }
      })
    else {
      Issue.record("who lost its place is not told")
      return
    }
    #expect(refusal.reason == .tooManyPeers)
    #expect(refusal.text.contains("1024 come from one place (10.0.0.1)"), "\(refusal.text)")
    // It gets work as soon as the crowd is late with it.
    _ = try script.ready(5_000, idle: 1)
    _ = try script.handle(.tick, after: 4_000)
    #expect(try !script.ready(5_000, idle: 1, after: 7_000).isEmpty)
    // The crowd's next ones do not come in for it.
    try join(&script, 6_000, host: "another", from: crowd)
    #expect(script.refusals.map(\.reason) == [.tooManyPeers])
  }

  @Test func oneOriginMayHaveAllPlacesAndTwoShareThemEvenly() throws {
    var script = Script(peersAtMost: 8)
    for worker in 0..<8 as Range<UInt64> { try join(&script, worker, host: "site", from: crowd) }
    #expect(script.status.workers.count == 8)
    var places = 0
    for worker in 100..<110 as Range<UInt64> {
      try join(&script, worker, host: "other site", from: elsewhere)
      if script.effects.contains(where: { if case .send(.welcome, _) = $0 { true } else { false } }) { places += 1 }
    }
    #expect(places == 4 && script.status.workers.count == 8)
    // A key is an origin as an address is.
    try join(&script, 200, host: "third", from: .key(PublicKey(bytes: [UInt8](repeating: 3, count: 32))))
    #expect(script.refusals.first?.text.contains("4 come from one place") == true)
    // One that is in may say hello again, and one that left leaves a place.
    try join(&script, 0, host: "site", from: crowd)
    #expect(script.refusals.isEmpty)
    try script.say(.goodbye, 0)
    try join(&script, 300, host: "site", from: crowd)
    #expect(script.refusals.isEmpty)
  }

  @Test func whoHasDeliveredKeepsItsPlace() throws {
    var script = Script(slices: 4, peersAtMost: 3)
    for worker in 0..<3 as Range<UInt64> { try join(&script, worker, host: "site", from: crowd) }
    for worker in [1, 2] as [UInt64] {
      let lease = try #require(try script.ready(worker, idle: 1).first)
      try script.complete(lease, by: worker)
    }
    try join(&script, 10, host: "other", from: elsewhere)
    #expect(script.status.workers.map(\.acceptedSlices) == [1, 1, 0], "the only one that delivered nothing left")
    try join(&script, 11, host: "other", from: elsewhere)
    #expect(script.refusals.map(\.reason) == [.tooManyPeers])
    try join(&script, 12, host: "third", from: .ipv4(9))
    #expect(script.refusals.map(\.reason) == [.tooManyPeers], "nobody is left who could be sent away for it")
  }

  @Test func bytesFromNobodyAreCountedAndRareInTheLog() throws {
    var script = Script()
    var said: [String] = []
    for _ in 0..<1_000 { said += try lines(script.handle(.malformed(from: nil, reason: "key not allowed"))) }
    #expect(said.count == CoordinationLimits.linesAtOnce && script.status.counts.malformed == 1_000)
  }
}
