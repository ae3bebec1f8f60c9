import Coordination
import Messages
import Numerics
import Testing

@Suite("Nothing foreign, old or unreadable gets in")
struct HandshakeTests {
  @Test func helloIsWelcomed() throws {
    var script = Script()
    try script.say(Script.hello(), 1)
    #expect(
      script.effects.contains {
        if case .send(.welcome(let welcome), PeerID(rawValue: 1)) = $0 {
          welcome.configuration == "recipe"
        } else {
          false
        }
      })
    #expect(script.status.workers.map(\.name) == ["host"])
  }

  @Test func anotherProtocolIsRefusedAndSaysWhichSideIsOlder() throws {
    var script = Script()
    try script.say(Script.hello(version: 1), 1)
    #expect(script.refusals.map(\.reason) == [.protocolVersion])
    #expect(script.refusals[0].text == "The worker speaks protocol 1, the coordinator 2: update the worker.")
    try script.say(Script.hello(version: 3), 1)
    #expect(script.refusals[0].text == "The worker speaks protocol 3, the coordinator 2: update the coordinator.")
    #expect(script.status.workers.isEmpty)
  }

  @Test func anotherComputeClassIsRefusedUnlessMixedIsAllowed() throws {
    let other = Digest(high: 0, low: 1)
    var strict = Script(libraries: LibraryVersions(openBLAS: "OpenBLAS 1", libjpeg: "libjpeg 1"))
    let libraries = LibraryVersions(openBLAS: "OpenBLAS 2", libjpeg: "libjpeg 2")
    try strict.say(Script.hello(probe: other, libraries: libraries), 1)
    #expect(strict.refusals.map(\.reason) == [.computeClass])
    // What to compare is in the sentence.
    for words in ["OpenBLAS 1", "libjpeg 1", "OpenBLAS 2", "libjpeg 2", "\(other)", "\(Script.probe)"] {
      #expect(strict.refusals[0].text.contains(words), "\(words)")
    }
    var mixed = Script(allowsMixed: true)
    try mixed.say(Script.hello(probe: other), 1)
    try mixed.say(Script.hello(), 2)
    #expect(mixed.refusals.isEmpty && mixed.status.counts.otherClass == 1)
    #expect(mixed.status.workers.map(\.isOtherClass) == [true, false])
  }

  @Test func whereTheCoordinatorHasNoProbeTheFirstWorkersCounts() throws {
    let (one, other) = (Digest(high: 0, low: 1), Digest(high: 0, low: 2))
    var script = Script(probe: nil)
    #expect(script.coordinator.probe == nil)
    try script.say(Script.hello(version: 1, probe: other), 1)
    #expect(script.coordinator.probe == nil, "who is refused says nothing of the run")
    try script.say(Script.hello(probe: one), 2)
    #expect(script.refusals.isEmpty && script.coordinator.probe == one)
    try script.say(Script.hello(probe: other), 3)
    #expect(script.refusals.map(\.reason) == [.computeClass])
    #expect(script.refusals[0].text.contains("that of the run's workers \(one)"))
    try script.say(Script.hello(probe: one), 4)
    #expect(script.refusals.isEmpty && script.status.workers.count == 2)
  }

  @Test func oldIncarnationsOtherRunsAndStrangersAreRefused() throws {
    var script = Script()
    try script.join(1)
    let ready = WorkerMessage.ready(Ready(idleThreads: 1, held: []))
    func refusal(_ sender: Sender) throws -> Refusal.Reason? {
      try script.handle(.message(ready, from: sender))
      #expect(script.leases(to: sender.peer.rawValue).isEmpty)
      return script.refusals.first?.reason
    }
    var sender = script.sender(1)
    sender.incarnation = Incarnation(2)
    #expect(try refusal(sender) == .unknownPeer)
    sender.incarnation = Incarnation(4)
    #expect(try refusal(sender) == .unknownPeer)
    #expect(script.refusals[0].text.contains("a newer coordinator"))
    sender = script.sender(1)
    sender.run = RunIdentity(high: 9, low: 9)
    #expect(try refusal(sender) == .otherRun)
    #expect(try refusal(script.sender(2)) == .unknownPeer)
  }

  @Test func aFullCoordinatorTakesNoMore() throws {
    var script = Script()
    for worker in 0..<UInt64(CoordinationLimits.peers) {
      try script.say(Script.hello(host: "host-\(worker % 8)"), worker)
    }
    try script.say(Script.hello(), 9_999)
    #expect(script.refusals.map(\.reason) == [.tooManyPeers])
    #expect(script.status.workers.count == CoordinationLimits.peers)
    try script.say(Script.hello(host: "host-7"), 7)
    #expect(script.refusals.isEmpty, "one that is in may say hello again")
  }

  @Test func aProcessWithFewConnectionsTakesFewerAndSaysWhy() throws {
    var script = Script(peersAtMost: 2)
    for worker in 0..<2 as Range<UInt64> { try script.say(Script.hello(), worker) }
    try script.say(Script.hello(), 9_999)
    #expect(script.refusals.map(\.reason) == [.tooManyPeers])
    #expect(script.refusals.first?.text.contains("takes no more for its limit of open files (ulimit -n)") == true)
  }

  @Test func nonsenseIsAnsweredCountedAndInTheEndIgnored() throws {
    var script = Script()
    let lease = try script.join(1)[0]
    for _ in 1..<CoordinationLimits.malformedMessages {
      try script.handle(.malformed(from: PeerID(rawValue: 1), reason: "no envelope"))
      #expect(script.refusals.map(\.reason) == [.malformed])
    }
    #expect(script.status.workers.count == 1)
    try script.ready(1, idle: 7)
    #expect(script.status.workers.isEmpty && script.status.counts.malformed == CoordinationLimits.malformedMessages)
    #expect(try script.say(Script.hello(), 1).isEmpty)
    // Its slices are free, and after a while it may come back.
    #expect(try script.join(2).map(\.slices.first) == [lease.slices.first])
    #expect(try !script.say(Script.hello(), 1, after: 61_000).isEmpty)
  }

  @Test func statusAndLogNameWorkersAndTellNobodyTheirIds() throws {
    var script = Script()
    let id: UInt64 = 0xC0FF_EE00_C0FF_EE01
    try script.say(Script.hello(name: "lab7/4711", host: "lab7"), id)
    let worker = try #require(script.status.workers.first)
    #expect(worker.name == "lab7/4711" && worker.host == "lab7" && worker.fingerprint.count == 8)
    let lines = script.effects.compactMap { if case .log(_, let line) = $0 { line } else { nil } }
    #expect(lines == ["worker 'lab7/4711' (\(worker.fingerprint)) joins with 1 threads."])
    #expect(!"\(worker) \(PeerID(rawValue: id))".contains(String(id, radix: 16).prefix(8)))
    #expect(worker.fingerprint != PeerID(rawValue: id + 1).fingerprint)
  }

  @Test func statusIsAnsweredToAnybody() throws {
    var script = Script()
    try script.handle(
      .message(
        .statusRequest,
        from: Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: PeerID(rawValue: 5))))
    #expect(script.effects == [.sendStatus(to: PeerID(rawValue: 5))])
  }
}
