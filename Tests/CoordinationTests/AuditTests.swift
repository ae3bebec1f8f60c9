import Coordination
import Messages
import Numerics
import Slices
import Testing

@Suite("What is audited counts once two hosts agree; who is wrong is named and works no more")
struct AuditTests {
  private static func script(
    slices: Int = 1, rate: Double = 1, rollsBack: Bool = true, from step: Int = 0, unaudited: [String: Int] = [:],
    quarantined: [QuarantinedHost] = []
  ) -> Script {
    Script(
      slices: slices, from: step,
      audits: AuditSettings(
        rate: rate, seed: 3, rollsBack: rollsBack, quarantined: quarantined, unaudited: unaudited))
  }

  private static func lease(_ leases: [Lease]) throws -> Lease { try #require(leases.first) }

  /// With the rows that its cache lacked, which differ from worker to worker.
  private static func finish(
    _ script: inout Script, _ lease: Lease, by worker: UInt64, bits: UInt64 = 4, after milliseconds: UInt64 = 10
  ) throws -> [Effect] {
    var finished = Script.result(of: lease, bits: bits)
    finished.traffic = StepTraffic(cached: 50, fetched: Int(worker), waited: 1000)
    return try script.say(.finished(finished), worker, after: milliseconds)
  }

  @Test func theGrantWaitsForASecondAnswerFromAnotherHost() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    try script.say(Script.hello(host: "b"), 3)
    #expect(try script.join(2, on: "a").isEmpty, "a neighbour is not asked where there is another host")
    let second = try Self.lease(script.ready(3, idle: 1))
    #expect(second.slices == first.slices && second.lease != first.lease)
    #expect(try !Self.finish(&script, first, by: 1).grants(first, to: 1))
    #expect(try Self.finish(&script, second, by: 3).grants(first, to: 1), "the first, not the second")
    #expect(try script.handle(.pushArrived(first.lease, .whole)).accepted == [first.slices])
    #expect(script.effects.cancels(second, of: 3))
    #expect(script.status.counts.audited == 1 && script.status.counts.wrong == 0)
    // Of the third worker nothing was compared.
    #expect(script.status.workers.map(\.auditsPassed) == [1, 1, 0])
    // Only of what counts.
    #expect(script.status.counts.rowsCached == 50 && script.status.counts.rowsFetched == 1)
    #expect(script.status.counts.rowWaitSeconds == 0.001)
  }

  @Test func withoutAnotherHostAnotherWorkerAnswers() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(2, on: "a"))
    _ = try Self.finish(&script, first, by: 1)
    #expect(try Self.finish(&script, second, by: 2).grants(first, to: 1))
  }

  /// A worker that is started again is another peer, on the same processor.
  @Test func twoAnswersOfOneHostAreNotEnoughWhereThereAreOthers() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    try script.say(Script.hello(host: "b"), 3)
    _ = try Self.finish(&script, first, by: 1, bits: 5)
    try script.say(.goodbye, 1)
    #expect(try script.say(.goodbye, 3).contains(.recompute(step: 0, first.slices, hashesGradient: false)))
    let again = try Self.lease(script.join(2, on: "a"))
    #expect(try !Self.finish(&script, again, by: 2, bits: 5).grants(again, to: 2))
    let verdict = try script.handle(.recomputed(Script.result(of: first)), after: 100)
    #expect(verdict.contains { if case .quarantine(let hosts, nil) = $0 { hosts.map(\.host) == ["a"] } else { false } })
  }

  @Test func withoutAnotherWorkerTheCoordinatorAnswers() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1))
    #expect(try Self.finish(&script, first, by: 1).contains(.recompute(step: 0, first.slices, hashesGradient: false)))
    #expect(
      try !script.handle(.tick, after: 100).contains(.recompute(step: 0, first.slices, hashesGradient: false)),
      "once is enough")
    #expect(try script.handle(.recomputed(Script.result(of: first)), after: 100).grants(first, to: 1))
  }

  @Test func aThirdHostDecides() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(2, on: "b"))
    _ = try Self.finish(&script, first, by: 1, bits: 5)
    _ = try Self.finish(&script, second, by: 2)
    #expect(try script.join(3, on: "b").isEmpty, "a neighbour of one of the two does not decide")
    let third = try Self.lease(script.join(4, on: "c"))
    let effects = try Self.finish(&script, third, by: 4)
    let wrong = QuarantinedHost(host: "a", worker: "a/1", step: 0, firstSlice: 0, slices: 1)
    #expect(effects.first == .quarantine([wrong], rollingBackTo: nil), "before anything else is said")
    #expect(script.refusals.map(\.reason) == [.quarantined])
    #expect(effects.grants(second, to: 2) && !effects.grants(first, to: 1))
    #expect(script.status.quarantined == [wrong] && script.stops.isEmpty)
    #expect(script.status.workers.map(\.auditsPassed) == [1, 0, 1], "the two that agree; the neighbour was not asked")
    // It does not come back.
    #expect(try script.join(1, on: "a").isEmpty)
    try script.say(Script.hello(name: "a/9", host: "a"), 9)
    #expect(script.refusals.first?.reason == .quarantined)
    for words in ["quarantine.json", "memory and processor", "libraries"] {
      #expect(script.refusals.first?.text.contains(words) == true)
    }
  }

  @Test func betweenTwoHostsTheCoordinatorDecides() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(2, on: "b"))
    _ = try Self.finish(&script, first, by: 1)
    #expect(
      try Self.finish(&script, second, by: 2, bits: 5).contains(
        .recompute(step: 0, first.slices, hashesGradient: false)))
    #expect(try script.handle(.recomputed(Script.result(of: first))).grants(first, to: 1))
    #expect(script.status.quarantined.map(\.host) == ["b"])
  }

  @Test func losesAndPicturesAreComparedToo() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(2, on: "b"))
    _ = try script.say(.finished(Script.result(of: first, undecodable: [1])), 1)
    try script.say(.finished(Script.result(of: second)), 2)
    #expect(script.effects.contains(.recompute(step: 0, first.slices, hashesGradient: false)))
    try script.handle(.recomputed(Script.result(of: first, loss: 1, undecodable: [1])))
    #expect(script.status.quarantined.map(\.host) == ["b"])
  }

  @Test func aSecondWorkerThatHangsHoldsNothingUp() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    _ = try Self.lease(script.join(2, on: "b"))
    _ = try Self.finish(&script, first, by: 1)
    var asked: UInt64?
    // Both send heartbeats, and the second nothing else.
    for second in 1...100 as ClosedRange<UInt64> {
      try script.ready(2, idle: 0, held: [LeaseID(2)], after: 500)
      let effects = script.effects
      try script.ready(1, idle: 1, held: [first.lease], after: 500)
      if (effects + script.effects).contains(.recompute(step: 0, first.slices, hashesGradient: false)) {
        asked = asked ?? second
      }
    }
    // One that has never answered anything is not waited for as long as one that has.
    #expect(try #require(asked) <= 4)
    #expect(try script.handle(.recomputed(Script.result(of: first))).grants(first, to: 1))
  }

  /// Its thread is taken by what nobody waits for any more: rows of a step that is over, of a shard that is gone.
  @Test func anAnswerDoesNotWaitLongForWorkersThatAreBusy() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(2, on: "b"))
    _ = try Self.finish(&script, first, by: 1)
    #expect(try Self.finish(&script, second, by: 2).grants(first, to: 1))
    try script.handle(.pushArrived(first.lease, .whole))
    try script.handle(.updateFinished(Script.version(1)))
    let next = try Self.lease(script.ready(1, idle: 1))
    _ = try Self.finish(&script, next, by: 1)
    for (milliseconds, isAsked) in [(1000, false), (900, false), (200, true)] as [(UInt64, Bool)] {
      try script.ready(1, idle: 1, held: [next.lease])
      try script.ready(2, idle: 0, after: milliseconds)
      #expect(
        script.effects.contains(.recompute(step: 1, next.slices, hashesGradient: false)) == isAsked,
        "at \(script.time) ms")
    }
    #expect(try script.handle(.recomputed(Script.result(of: next))).grants(next, to: 1))
  }

  /// The only other one that ever answered is busy; each of a crowd is idle, and asked neither.
  @Test func anOpenAuditInACrowdCostsLittle() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(2, on: "b"))
    _ = try Self.finish(&script, first, by: 1)
    _ = try Self.finish(&script, second, by: 2)
    try script.handle(.pushArrived(first.lease, .whole))
    try script.handle(.updateFinished(Script.version(1)))
    let next = try Self.lease(script.ready(1, idle: 1))
    let crowd = 3...UInt64(CoordinationLimits.peers)
    for worker in crowd { try script.join(worker, on: "\(worker)") }
    _ = try Self.finish(&script, next, by: 1)
    let took = ContinuousClock().measure {
      for worker in crowd.prefix(100) {
        script.time += 1
        let message = Event.message(.ready(Ready(idleThreads: 1, held: [])), from: script.sender(worker))
        _ = script.coordinator.handle(message, at: Instant(nanoseconds: script.time * 1_000_000))
      }
    }
    #expect(script.leases(to: 3).isEmpty && took < .seconds(2), "\(took): all workers are looked at for each of them")
  }

  @Test func forWhoForgetsToAnswerTheCoordinatorDoesSoNotTheNextOne() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    _ = try Self.lease(script.join(2, on: "b"))
    try script.say(Script.hello(host: "c"), 3)
    _ = try Self.finish(&script, first, by: 1)
    try script.ready(1, idle: 0, held: [first.lease], after: 1_900)
    #expect(
      try script.say(.ready(Ready(idleThreads: 1, held: [])), 2, after: 200).contains(
        .recompute(step: 0, first.slices, hashesGradient: false))
    )
    #expect(try script.ready(3, idle: 1).isEmpty)
    #expect(try script.handle(.recomputed(Script.result(of: first))).grants(first, to: 1))
  }

  @Test func whoHasAnsweredBeforeIsAskedBeforeWhoHasNot() throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    let second = try Self.lease(script.join(3, on: "c"))
    _ = try Self.finish(&script, first, by: 1)
    #expect(try Self.finish(&script, second, by: 3).grants(first, to: 1))
    #expect(try script.handle(.pushArrived(first.lease, .whole)).contains(.startUpdate(step: 0)))
    try script.handle(.updateFinished(Script.version(1)))
    let next = try Self.lease(script.ready(1, idle: 1))
    #expect(try script.join(2, on: "b").isEmpty)
    #expect(try Self.lease(script.ready(3, idle: 1)).slices == next.slices)
  }

  @Test func aRunGoesBackToBeforeTheFirstResultThatNobodyCompared() throws {
    var script = Self.script(from: 7, unaudited: ["a": 4, "b": 2])
    let first = try Self.lease(script.join(1, on: "a"))
    _ = try Self.finish(&script, first, by: 1, bits: 5)
    let effects = try script.handle(.recomputed(Script.result(of: first)))
    let wrong = QuarantinedHost(host: "a", worker: "a/1", step: 7, firstSlice: 0, slices: 1)
    #expect(effects.first == .quarantine([wrong], rollingBackTo: 4))
    #expect(script.stops == [.rollsBack(toStep: 4)])
    #expect(!effects.contains(.writeCheckpoint(step: 7)))
  }

  @Test func toldToReportItGoesOnAndNamesTheSteps() throws {
    var script = Self.script(rollsBack: false, from: 7, unaudited: ["a": 4])
    let first = try Self.lease(script.join(1, on: "a"))
    _ = try Self.finish(&script, first, by: 1, bits: 5)
    try script.handle(.recomputed(Script.result(of: first)))
    #expect(script.stops.isEmpty && script.status.quarantined.first?.suspectSteps == [4, 7])
    let texts = script.effects.compactMap { if case .log(.error, let text) = $0 { text } else { nil } }
    #expect(texts.contains { $0.contains("'a/1'") && $0.contains("Steps 4 to 7 are suspect") })
    let again = try Self.lease(script.join(2, on: "b"))
    #expect(try Self.finish(&script, again, by: 2).grants(again, to: 2), "the verdict is known")
  }

  @Test func onlyWhatNobodyComparedIsRemembered() throws {
    var seen = Self.script(), unseen = Self.script(rate: 0)
    let first = try Self.lease(seen.join(1, on: "a"))
    _ = try Self.finish(&seen, first, by: 1)
    try seen.handle(.recomputed(Script.result(of: first)))
    try seen.handle(.pushArrived(first.lease, .whole))
    #expect(seen.coordinator.unauditedHosts(before: 1).isEmpty)
    try unseen.complete(Self.lease(unseen.join(1, on: "a")), by: 1)
    #expect(unseen.coordinator.unauditedHosts(before: 1) == ["a": 0])
    #expect(unseen.coordinator.unauditedHosts(before: 0).isEmpty, "not of the step that a checkpoint is for")
  }

  @Test func theCoordinatorsOwnFailureIsNoVerdict() throws {
    // A seed with which the only node is audited.
    for seed in 0..<10 as Range<UInt64> {
      var script = Script(slices: 1, audits: AuditSettings(rate: 0.5, seed: seed))
      let first = try Self.lease(script.join(1, on: "a"))
      guard try !Self.finish(&script, first, by: 1).grants(first, to: 1) else { continue }
      for round in 1...CoordinationLimits.recomputations {
        #expect(
          try script.handle(.tick, after: 3000).contains(.recompute(step: 0, first.slices, hashesGradient: false))
            || round == 1)
        try script.ready(1, idle: 0, held: [first.lease])
        let effects = try script.handle(.recomputationFailed(step: 0, first.slices, reason: "read error"))
        #expect(effects.grants(first, to: 1) == (round == CoordinationLimits.recomputations))
      }
      try script.handle(.pushArrived(first.lease, .whole))
      #expect(script.coordinator.unauditedHosts(before: 1) == ["a": 0])
      return
    }
    Issue.record("nothing was audited")
  }

  @Test(arguments: [true, false]) func atRateOneNothingCountsThatNobodyCanCompare(differ: Bool) throws {
    var script = Self.script()
    let first = try Self.lease(script.join(1, on: "a"))
    if differ { _ = try Self.finish(&script, Self.lease(script.join(2, on: "b")), by: 2, bits: 5) }
    _ = try Self.finish(&script, first, by: 1)
    for _ in 1...CoordinationLimits.recomputations {
      try script.handle(.recomputationFailed(step: 0, first.slices, reason: "read error"))
      try script.handle(.tick, after: 2000)
    }
    try script.handle(.checkpointFinished(step: 0, failure: nil))
    guard case .failed(let why)? = script.stops.first else { throw CancellationError() }
    #expect(why.contains(differ ? "'b/2' and 'a/1' differ" : "there is one answer") && why.contains("read error"))
  }

  @Test(arguments: [0.0, 0.1, 0.5, 1]) func theRateIsTheShareOfAuditedLeases(rate: Double) throws {
    var audited = 0
    for step in 0..<1000 {
      var script = Script(
        slices: 1, lastStep: 1000, from: step, audits: AuditSettings(rate: rate, seed: 9))
      let first = try Self.lease(script.join(1))
      let effects = try Self.finish(&script, first, by: 1)
      if effects.contains(.recompute(step: step, first.slices, hashesGradient: false)) { audited += 1 }
      #expect(
        effects.grants(first, to: 1) != effects.contains(.recompute(step: step, first.slices, hashesGradient: false)))
    }
    #expect(abs(Double(audited) / 1000 - rate) < 0.05)
  }

  /// A step of eight slices, computed by four hosts of one thread. For the first node that each host has, for the second,
  /// and so on: whether it was given to another host too.
  private static func audited(in step: Int) throws -> [Int: Set<Bool>] {
    var script = Script(slices: 8, lastStep: 1000, from: step, audits: AuditSettings(rate: 0.3, seed: 9))
    for host in 0..<4 as Range<UInt64> { try script.say(Script.hello(host: "\(host)"), host) }
    func says(_ message: WorkerMessage, _ peer: PeerID) -> Event {
      .message(message, from: script.sender(peer.rawValue))
    }
    let idle = WorkerMessage.ready(Ready(idleThreads: 1, held: []))
    var events = (0..<4).map { says(idle, PeerID(rawValue: $0)) }
    var orders: [SliceRange: Int] = [:]
    var leases: [PeerID: Int] = [:]
    var twice: Set<SliceRange> = []
    while !events.isEmpty {
      for effect in try script.handle(events.removeFirst()) {
        switch effect {
        case .send(.lease(let lease), let peer):
          if orders[lease.slices] == nil {
            orders[lease.slices] = leases[peer, default: 0]
            leases[peer, default: 0] += 1
          } else {
            twice.insert(lease.slices)
          }
          events += [says(.finished(Script.result(of: lease)), peer), says(idle, peer)]
        case .send(.grant(let lease, _), _): events.append(.pushArrived(lease, .whole))
        default: break
        }
      }
    }
    #expect(orders.count == 8)
    return orders.reduce(into: [:]) { $0[$1.value, default: []].insert(twice.contains($1.key)) }
  }

  @Test func auditsOfAllHostsFallOnTheSameLeasesAndThoseOfOneHostOnAny() throws {
    var counts: [[Bool]: Int] = [:]
    for step in 0..<300 {
      let audited = try Self.audited(in: step)
      for (order, outcomes) in audited { #expect(outcomes.count == 1, "lease \(order) of step \(step)") }
      counts[[audited[0] == [true], audited[1] == [true]], default: 0] += 1
    }
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
      let expected = (first ? 0.3 : 0.7) * (second ? 0.3 : 0.7)
      #expect(abs(Double(counts[[first, second], default: 0]) / 300 - expected) < 0.08, "\(counts)")
    }
  }
}
