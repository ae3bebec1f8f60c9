import Coordination
import Messages
import Numerics
import Slices
import Testing

@Suite("What is not finite ends a run if the coordinator's own computing says so; else its host was wrong")
struct NotFiniteTests {
  private func lease(_ leases: [Lease]) throws -> Lease { try #require(leases.first) }

  private func quarantined(_ effects: [Effect]) -> [String] {
    effects.flatMap { if case .quarantine(let hosts, _) = $0 { hosts.map(\.host) } else { [String]() } }
  }

  private func recomputes(_ effects: [Effect]) -> Bool {
    effects.contains { if case .recompute = $0 { true } else { false } }
  }

  private func errors(_ effects: [Effect]) -> [String] {
    effects.compactMap { if case .log(.error, let text) = $0 { text } else { nil } }
  }

  @discardableResult
  private func accuse(_ script: inout Script, _ lease: Lease, by worker: UInt64) throws -> [Effect] {
    try script.say(.finished(Script.result(of: lease, loss: .nan)), worker, after: 10)
  }

  /// The first of two hosts says of its lease that it is not finite, so the second has it too.
  private func accuseOnce(_ script: inout Script) throws -> (first: Lease, second: Lease) {
    let first = try lease(script.join(1, on: "a"))
    try script.join(2, on: "b")
    try accuse(&script, first, by: 1)
    return (first, try lease(script.leases(to: 2)))
  }

  @Test func twoWorkersOfOneHostAreOneVoiceAndAnotherHostComputes() throws {
    var script = Script(slices: 2, from: 7, durableStep: 7)
    let first = try lease(script.join(1, on: "a"))
    let second = try lease(script.join(2, on: "a"))
    try script.say(Script.hello(host: "b"), 3)
    try accuse(&script, first, by: 1)
    #expect(try script.ready(1, idle: 1).isEmpty && script.ready(2, idle: 1).isEmpty, "not on that host")
    try accuse(&script, second, by: 2)
    #expect(script.stops.isEmpty && !recomputes(script.effects))
    #expect(try script.ready(2, idle: 1).isEmpty && script.ready(1, idle: 1).isEmpty)

    // The other host has finite values: two hosts differ, the coordinator decides.
    let other = try lease(script.ready(3, idle: 1))
    #expect(
      try script.say(.finished(Script.result(of: other)), 3).contains(
        .recompute(step: 7, other.slices, hashesGradient: false)))
    let effects = try script.handle(.recomputed(Script.result(of: other)))
    #expect(quarantined(effects) == ["a"] && effects.grants(other, to: 3) && script.stops.isEmpty)
    #expect(script.status.workers.map(\.name) == ["host"])
  }

  @Test func twoHostsEndTheRunOnlyIfTheCoordinatorAgrees() throws {
    var script = Script(slices: 1, from: 7, durableStep: 7)
    let (first, second) = try accuseOnce(&script)
    #expect(second.slices == first.slices)
    #expect(
      try accuse(&script, second, by: 2).contains(.recompute(step: 7, first.slices, hashesGradient: false))
        && script.stops.isEmpty)

    var finite = script
    #expect(try Set(quarantined(finite.handle(.recomputed(Script.result(of: first))))) == ["a", "b"])
    #expect(finite.stops.isEmpty)

    try script.handle(.recomputed(Script.result(of: first, loss: .nan), notFinite: [0]))
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(
      why
        == "Step 7 cannot be computed: loss or gradient of slice 0 is not finite, say worker 'a/1' of host 'a' and worker "
        + "'b/2' of host 'b' and the coordinator, which computed it itself. Its pictures: picture-700.jpg, "
        + "picture-701.jpg. The last good checkpoint is of step 7. Resuming will meet it again: massl replay --step 7 "
        + "--slice 0 shows where the first such value appears, and massl fork goes on from a checkpoint with other "
        + "settings.")
  }

  @Test func aloneAHostIsAskedAgainOnceTheCoordinatorHasFiniteValues() throws {
    var script = Script(slices: 1, from: 7, durableStep: 5)
    let first = try lease(script.join(1))
    try script.say(.finished(Script.result(of: first)), 1)
    #expect(
      try script.handle(.pushArrived(first.lease, .notFinite)).contains(
        .recompute(step: 7, first.slices, hashesGradient: false)))
    #expect(try script.ready(1, idle: 1).isEmpty && script.status.counts.notFinite == 1)
    let effects = try script.handle(.recomputed(Script.result(of: first)))
    #expect(errors(effects).contains { $0.contains("of host 'host' may be broken. It is asked once more.") })
    let again = try lease(script.leases(to: 1))

    // Once this and once that: the step goes on.
    var other = script
    #expect(try other.complete(again, by: 1).contains(.startUpdate(step: 7)))
    #expect(quarantined(other.effects).isEmpty)

    // Twice: it is broken.
    #expect(try quarantined(accuse(&script, again, by: 1)) == ["host"])
    #expect(script.stops.isEmpty)
  }

  @Test func whatAllAgreeOnLeavesTheWeightsBeforeItDurable() throws {
    var script = Script(slices: 1, from: 7, durableStep: 5)
    try accuse(&script, lease(script.join(1)), by: 1)
    let node = SliceRange(first: 0, count: 1)
    var result = Script.result(
      of: Lease(
        lease: LeaseID(0), step: 7, slices: node, student: .init(high: 0, low: 0),
        teacher: .init(high: 0, low: 0), rows: 0, memoryFloor: 0, holdersVersion: 0))
    result.losses[0].consistency = .infinity
    #expect(try script.handle(.recomputed(result, notFinite: [0])).contains(.writeCheckpoint(step: 7)))
    try script.handle(.checkpointFinished(step: 7, failure: nil))
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(
      why.contains("say worker 'host' of host 'host' and the coordinator") && why.contains("checkpoint is of step 7."))
  }

  @Test func whatTheCoordinatorCannotComputeIsNotCalledHopeless() throws {
    var script = Script(slices: 1, from: 7, durableStep: 7)
    let first = try lease(script.join(1))
    try accuse(&script, first, by: 1)
    for _ in 1...CoordinationLimits.recomputations {
      try script.handle(.recomputationFailed(step: 7, first.slices, reason: "read error"))
      if script.stops.isEmpty { try script.handle(.tick, after: 2000) }
    }
    guard case .failed(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.contains("says worker 'host' of host 'host'. ") && why.contains("(read error)"))
    #expect(!why.contains("Resuming will meet it again"))
  }

  @Test func aFiniteAnswerCountsWhereTheCoordinatorCannotDecide() throws {
    var script = Script(slices: 1, from: 7, durableStep: 7)
    let (first, second) = try accuseOnce(&script)
    try script.say(.finished(Script.result(of: second)), 2)
    for _ in 1...CoordinationLimits.recomputations {
      #expect(script.stops.isEmpty)
      try script.ready(2, idle: 0, held: [second.lease])
      try script.handle(.recomputationFailed(step: 7, first.slices, reason: "read error"))
      if !script.effects.grants(second, to: 2) { try script.handle(.tick, after: 2000) }
    }
    #expect(try script.handle(.pushArrived(second.lease, .whole)).accepted == [first.slices])
    #expect(errors(script.effects).contains { $0.contains("not finite from 'a/1'") && $0.contains("may be broken") })
  }

  @Test func withMixedClassesWhatIsFiniteCountsAndNobodyIsAccused() throws {
    var script = Script(slices: 1, from: 7, durableStep: 7, allowsMixed: true)
    let (first, second) = try accuseOnce(&script)
    #expect(try script.say(.finished(Script.result(of: second, bits: 9)), 2).grants(second, to: 2))
    #expect(try script.handle(.pushArrived(second.lease, .whole)).accepted == [first.slices])
    #expect(script.status.quarantined.isEmpty)
  }

  @Test func withMixedClassesAnEndSaysWhatIsKnown() throws {
    var script = Script(slices: 1, from: 7, durableStep: 7, allowsMixed: true)
    let first = try lease(script.join(1, on: "a"))
    #expect(try recomputes(accuse(&script, first, by: 1)))
    try script.handle(.recomputed(Script.result(of: first)))
    guard case .failed(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.contains("with --allow-mixed either may be right") && !why.contains("will meet it again"))
    #expect(script.status.quarantined.isEmpty)
  }

  /// Anybody can say it, at a time of its choosing: what others computed meanwhile is not undone.
  @Test func aRunDoesNotGoBackForIt() throws {
    var script = Script(
      slices: 1, from: 7, durableStep: 7, audits: AuditSettings(rate: 0, seed: 3, unaudited: ["a": 4, "b": 2]))
    let (first, second) = try accuseOnce(&script)
    try script.say(.finished(Script.result(of: second)), 2)
    let effects = try script.handle(.recomputed(Script.result(of: first)))
    let wrong = QuarantinedHost(host: "a", worker: "a/1", step: 7, firstSlice: 0, slices: 1, suspectSteps: [4, 7])
    #expect(effects.first == .quarantine([wrong], rollingBackTo: nil) && script.stops.isEmpty)
    #expect(errors(effects).contains { $0.contains("Steps 4 to 7 are suspect") })
  }

  /// Both pushed the same bits, and those are not finite.
  @Test func whatTwoHostsAgreedOnIsJudgedOnceItsPayloadIsNotFinite() throws {
    var script = Script(slices: 1, audits: AuditSettings(rate: 1, seed: 3))
    let first = try lease(script.join(1, on: "a"))
    let second = try lease(script.join(2, on: "b"))
    try script.say(.finished(Script.result(of: first, bits: 6)), 1)
    #expect(try script.say(.finished(Script.result(of: second, bits: 6)), 2).grants(first, to: 1))
    #expect(
      try script.handle(.pushArrived(first.lease, .notFinite)).contains(
        .recompute(step: 0, first.slices, hashesGradient: false)))
    #expect(try Set(quarantined(script.handle(.recomputed(Script.result(of: first))))) == ["a", "b"])
    #expect(try script.join(3, on: "c").map(\.slices) == [first.slices])
  }

  @Test func aHostThatIsHereAndDoesNotAnswerIsWaitedForTenSeconds() throws {
    var script = Script(slices: 1)
    let first = try lease(script.join(1, on: "a"))
    try script.say(Script.hello(host: "b"), 2)
    try accuse(&script, first, by: 1)
    var seconds = 0
    while seconds < 20, !recomputes(script.effects) {
      seconds += 1
      try script.ready(2, idle: 0, after: 1000)
    }
    #expect(seconds == 10)
  }
}
