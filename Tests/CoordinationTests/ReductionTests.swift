import Coordination
import Messages
import Numerics
import Slices
import Testing

@Suite("Gradients stay with who computed them, and are added up among the workers, where that is faster")
struct ReductionTests {
  // MARK: A step

  @Test func aStepGoesFromLeasesOverSumsToItsUpdate() throws {
    var script = try ReductionScript()
    let leases = script.held.values.flatMap { $0 }
    #expect(leases.count == 3 && leases.allSatisfy(\.hashesGradient))
    // 1. Tails alone are granted.
    let first = try #require(script.held[1]?.first)
    let effects = try script.tell(
      .finished(Script.result(of: first, parameters: ReductionScript.parameters)), 1, after: 50)
    #expect(effects.contains(.send(.grant(first.lease, keepsGradient: true), to: PeerID(rawValue: 1))))
    // Said again, it is granted in the same way.
    let again = try script.tell(
      .finished(Script.result(of: first, parameters: ReductionScript.parameters)), 1, after: 50)
    #expect(again.contains(.send(.grant(first.lease, keepsGradient: true), to: PeerID(rawValue: 1))))
    try script.handle(.pushArrived(first.lease, .whole))
    #expect(script.script.status.workers[0].keptGradients == 1 && script.phase == "computing")
    // What was said before the grant was heard cancels nothing.
    let late = try script.tell(.finished(Script.result(of: first, parameters: ReductionScript.parameters)), 1)
    #expect(!late.cancels(first, of: 1))
    // 2. Once all slices are in, the chunks are dealt in turn.
    try script.completeAll(but: [1])
    #expect(script.phase == "reducing" && script.asked == [1: [0, 3], 2: [1, 4], 3: [2]])
    #expect(script.gradients.map(\.slices.count) == [2, 2, 2] && script.gradients.allSatisfy { $0.holders.count == 1 })
    #expect(script.expected?.chunks[PeerID(rawValue: 2)] == [1, 4] && script.script.status.reducers == 3)
    // 3. With the last sum the update begins, and nobody need keep anything.
    let all = try script.sumAll()
    #expect(all.count { $0 == .startUpdate(step: 1) } == 1 && script.phase == "updating")
    #expect(all.count { if case .send(.cancel, _) = $0 { true } else { false } } == 3)
    #expect(script.script.status.workers.allSatisfy { $0.keptGradients == 0 })
    try script.update()
    #expect(script.held.values.flatMap { $0 }.allSatisfy { $0.step == 2 && $0.hashesGradient })
  }

  @Test(arguments: [[1], [3], [5]]) func aSumCountsOnceWhoeverSendsItAgain(chunks: [Int]) throws {
    var script = try ReductionScript()
    try script.completeAll()
    for _ in 0..<3 { try script.sum(0, by: 1) }
    // Nor does what nobody asked this worker for.
    for chunk in 0..<ReductionScript.chunks { try script.sum(chunk, by: 9) }
    try script.sum(1, by: 3)
    #expect(script.phase == "reducing")
    #expect(try script.sumAll().contains(.startUpdate(step: 1)))
  }

  // MARK: When

  @Test(arguments: [1, 2]) func fewHostsAddNothingUpThemselves(hosts: Int) throws {
    let script = try ReductionScript(hosts: hosts, exchange: nil)
    #expect(script.held.values.flatMap { $0 }.allSatisfy { !$0.hashesGradient })
  }

  @Test func neverIsNever() throws {
    let script = try ReductionScript(exchange: false)
    #expect(script.held.values.flatMap { $0 }.allSatisfy { !$0.hashesGradient })
  }

  @Test func whoCannotKeepOnePushesItWhole() throws {
    var script = try ReductionScript()
    script.room = 0
    try script.ready(3, idle: 0)
    let lease = try #require(script.held[3]?.first)
    let effects = try script.tell(.finished(Script.result(of: lease, parameters: ReductionScript.parameters)), 3)
    #expect(effects.contains(.send(.grant(lease.lease, keepsGradient: false), to: PeerID(rawValue: 3))))
    try script.handle(.pushArrived(lease.lease, .whole))
    try script.completeAll(but: [3])
    // Reducers fetch it from the coordinator.
    let held = try #require(script.gradients.first { $0.slices == lease.slices })
    #expect(held.holders.isEmpty && held.hash == nil)
    #expect(try script.sumAll().contains(.startUpdate(step: 1)))
  }

  @Test func aResultWithoutItsHashIsRefusedAndOneWithoutNeedToo() throws {
    var script = try ReductionScript()
    let lease = try #require(script.held[1]?.first)
    var finished = Script.result(of: lease, parameters: ReductionScript.parameters)
    finished.gradient = nil
    try script.tell(.finished(finished), 1)
    #expect(script.script.refusals.map(\.text).first?.contains("without its gradient's hash") == true)
    var star = try ReductionScript(exchange: false)
    let other = try #require(star.held[1]?.first)
    var hashed = Script.result(of: other, parameters: ReductionScript.parameters)
    hashed.gradient = GradientIdentity(digest: Script.probe, hash: ContentHash(high: 1, low: 1))
    try star.tell(.finished(hashed), 1)
    #expect(star.script.refusals.map(\.text).first?.contains("nobody asked for") == true)
  }

  // MARK: Loss of a gradient

  enum Loss: String, CaseIterable, Sendable { case disconnects, isSilent, leaves, forgets }

  private func lose(_ worker: UInt64, _ loss: Loss, _ script: inout ReductionScript) throws -> [Effect] {
    switch loss {
    case .disconnects: return try script.handle(.disconnected(PeerID(rawValue: worker)))
    case .isSilent:
      var effects: [Effect] = []
      for _ in 0..<6 {
        for other in [1, 2, 3] as [UInt64] where other != worker {
          effects += try script.ready(other, idle: 2, after: 500)
        }
      }
      return effects
    case .leaves: return try script.tell(.goodbye, worker)
    case .forgets:
      script.held[worker] = []
      return try script.ready(worker, idle: 0)
    }
  }

  @Test(arguments: Loss.allCases) func aLostGradientIsComputedAgain(loss: Loss) throws {
    var script = try ReductionScript()
    let first = try #require(script.held[1]?.first)
    try script.complete(first, by: 1)
    try script.ready(2, idle: 0)
    let effects = try lose(1, loss, &script)
    #expect(effects.contains(.forgetResult(first.slices)))
    #expect(script.script.status.counts.lostGradients == 1 && script.script.status.acceptedSlices == 0)
    // Others compute it when they are idle.
    try script.finishLeases(but: [1])
    #expect(script.phase == "reducing" && !script.gradients.contains { $0.holders.first?.endpoint.host == "10.0.0.1" })
    #expect(try script.sumAll().contains(.startUpdate(step: 1)))
  }

  @Test(arguments: Loss.allCases) func oneLostWhileItIsAddedUpEndsTheDealAndSumsThatAreInStay(loss: Loss) throws {
    var script = try ReductionScript()
    let first = try #require(script.held[1]?.first)
    try script.completeAll()
    try script.sum(1, by: 2)
    let before = script.deal
    let effects = try lose(1, loss, &script)
    #expect(effects.contains(.abandonSums) && effects.contains(.forgetResult(first.slices)))
    #expect(script.phase == "computing")
    // A sum of the deal that is over is of no use.
    try script.sum(4, by: 2)
    try script.finishLeases(but: [1])
    #expect(script.phase == "reducing" && script.deal > before)
    let chunks = script.asked.values.flatMap { $0 }.sorted()
    #expect(chunks == [0, 2, 3, 4], "the sum of chunk 1 is in")
    #expect(try script.sumAll().contains(.startUpdate(step: 1)))
  }

  // MARK: Reducers that do not add up

  @Test func theCoordinatorAddsUpForWhoIsGone() throws {
    var script = try ReductionScript(hosts: 4)
    // The fourth keeps nothing: all of its own is here.
    script.room = 0
    try script.ready(4, idle: 0)
    script.room = 4
    try script.completeAll()
    let chunks = try #require(script.asked[4])
    try script.sumAll(but: [4])
    let effects = try script.handle(.disconnected(PeerID(rawValue: 4)))
    #expect(script.asked[0] == chunks && script.phase == "reducing")
    #expect(effects.contains { if case .log(.warning, let text) = $0 { text.contains("'w4'") } else { false } })
    for chunk in chunks { try script.sum(chunk, by: 0) }
    #expect(script.phase == "updating" && script.script.status.counts.sumsTakenOver == chunks.count)
  }

  @Test func whoSendsNoSumsIsReplacedAndAddsNothingUpForAWhile() throws {
    var script = try ReductionScript()
    try script.completeAll()
    try script.sumAll(but: [3])
    // It is heard, and sends none.
    for _ in 0..<12 { for worker in [1, 2, 3] as [UInt64] { try script.ready(worker, idle: 0, after: 70) } }
    #expect(script.asked[0] == script.asked[3])
    // The first of the two counts.
    try script.sum(2, by: 3)
    #expect(script.phase == "updating")
    try script.sum(2, by: 0)
    try script.update()
    try script.completeAll()
    #expect(script.asked[3] == nil && script.asked[1] != nil)
  }

  @Test func whatAReducerCannotHaveTheCoordinatorAddsUp() throws {
    var script = try ReductionScript()
    try script.completeAll()
    let failure = ReductionFailure(number: script.deal, chunks: [0, 1, 3], reason: "tcp://x does not answer")
    try script.tell(.reductionFailed(failure), 1)
    // What is another's is not its to give up.
    #expect(script.asked[0] == [0, 3])
    #expect(script.script.status.workers.allSatisfy { $0.undelivered == 0 }, "its word convicts nobody")
    try script.sumAll(but: [1])
    #expect(script.phase == "updating")
  }

  @Test func whatTheCoordinatorCannotHaveIsComputedAgain() throws {
    var script = try ReductionScript()
    let lease = try #require(script.held[2]?.first)
    try script.completeAll()
    try script.tell(.reductionFailed(ReductionFailure(number: script.deal, chunks: [0], reason: "no")), 1)
    let effects = try script.handle(
      .gradientUnavailable(
        UnavailableGradient(deal: script.deal, slices: lease.slices, problem: .notGiven(reason: "no answer"))))
    #expect(effects.contains(.forgetResult(lease.slices)) && script.phase == "computing")
    #expect(script.script.status.workers[1].undelivered == 1)
    for worker in [1, 3] as [UInt64] {
      for (_, again) in try script.ready(worker).leased { try script.complete(again, by: worker) }
    }
    #expect(script.phase == "reducing")
  }

  @Test func whatAnOlderDealSaysIsOfNoUse() throws {
    var script = try ReductionScript()
    let lease = try #require(script.held[2]?.first)
    try script.completeAll()
    for deal in [0, script.deal - 1, script.deal + 1] {
      try script.handle(
        .gradientUnavailable(
          UnavailableGradient(deal: deal, slices: lease.slices, problem: .notGiven(reason: "no"))))
      try script.tell(.reductionFailed(ReductionFailure(number: deal, chunks: [0], reason: "no")), 1)
    }
    #expect(script.phase == "reducing" && script.asked[0] == nil)
  }

  // MARK: Lies

  @Test func atRateOneEverySumIsAddedUpByTwoHostsAndComparedBeforeItCounts() throws {
    var script = try audited()
    #expect(script.expected?.compared == Set(0..<ReductionScript.chunks))
    #expect(script.asked == [1: [0, 2, 3], 2: [0, 1, 3, 4], 3: [1, 2, 4]])
    try script.sum(0, by: 1)
    try script.sum(1, by: 2)
    #expect(script.phase == "reducing")
    #expect(try script.sumAll().contains(.startUpdate(step: 1)))
  }

  /// At rate 1, all slices of a step in: each lease is answered by two hosts.
  private func audited(hosts: Int = 3) throws -> ReductionScript {
    var script = try ReductionScript(hosts: hosts, audits: AuditSettings(rate: 1))
    try script.finishLeases()
    return script
  }

  @Test func aWrongSumIsFoundAndItsHostQuarantined() throws {
    var script = try audited()
    try script.sum(0, by: 1, bits: 7)
    let differs = try script.sum(0, by: 2)
    #expect(script.asked[0] == [0], "the coordinator judges")
    #expect(differs.quarantined.isEmpty)
    let judged = try script.sum(0, by: 0)
    #expect(judged.quarantined == ["host-1"])
  }

  @Test func theLastSumMayConvictSomebodyWhoseGradientsAreThenComputedAgain() throws {
    var script = try audited(hosts: 4)
    for (worker, chunks) in script.asked.sorted(by: { $0.key < $1.key }) {
      for chunk in chunks where chunk != 0 { try script.sum(chunk, by: worker) }
    }
    let asked = script.asked.filter { $0.value.contains(0) }.map(\.key).sorted()
    try script.sum(0, by: asked[0], bits: 7)
    try script.sum(0, by: asked[1])
    #expect(try script.sum(0, by: 0).quarantined == ["host-\(asked[0])"])
    #expect(script.phase == "computing")
    try script.finishLeases(but: [asked[0]])
    #expect(script.phase == "updating")
  }

  @Test func aSumThatIsNotFiniteIsAddedUpByTheCoordinatorItself() throws {
    var script = try ReductionScript()
    try script.completeAll()
    try script.sum(2, by: 3, isFinite: false)
    #expect(script.asked[0] == [2] && script.phase == "reducing")
    #expect(try script.sum(2, by: 0).quarantined == ["host-3"])
  }

  @Test func aGradientThatIsNotFiniteIsComputedByAnotherHost() throws {
    var script = try ReductionScript()
    let lease = try #require(script.held[3]?.first)
    try script.completeAll()
    try script.tell(.reductionFailed(ReductionFailure(number: script.deal, chunks: [2], reason: "not finite")), 3)
    try script.handle(
      .gradientUnavailable(UnavailableGradient(deal: script.deal, slices: lease.slices, problem: .notFinite)))
    #expect(script.phase == "computing" && script.script.status.counts.notFinite == 1)
    #expect(script.script.effects.quarantined.isEmpty)
    // Another host says the same: it is not finite, and nobody was wrong. The coordinator has to say so.
    let again = try #require(try script.ready(1).leased.first)
    #expect(again.lease.slices == lease.slices)
    let effects = try script.tell(
      .finished(Script.result(of: again.lease, parameters: ReductionScript.parameters)), 1)
    #expect(effects.contains(.recompute(step: 1, lease.slices, hashesGradient: true)))
    #expect(effects.quarantined.isEmpty)
  }

  @Test func twoAnnouncementsOfANodeThatDifferAreAnAuditAtRateZeroToo() throws {
    var script = try ReductionScript()
    let first = try #require(script.held[1]?.first)
    // Others get its slices, and then it is back.
    try script.handle(.disconnected(PeerID(rawValue: 1)))
    try script.complete(try #require(script.held[2]?.first), by: 2)
    let copy = try #require(try script.ready(2).leased.first)
    #expect(copy.lease.slices == first.slices)
    func announce(_ lease: Lease, _ worker: UInt64, bits: UInt64) throws -> [Effect] {
      try script.tell(.finished(Script.result(of: lease, bits: bits, parameters: ReductionScript.parameters)), worker)
    }
    #expect(try announce(first, 1, bits: 7).contains { if case .expectPush = $0 { true } else { false } })
    let effects = try announce(copy.lease, 2, bits: 4)
    #expect(effects.contains(.abandonPush(first.lease)))
    // The third host decides.
    try script.complete(try #require(script.held[3]?.first), by: 3)
    let third = try #require(try script.ready(3).leased.first)
    #expect(third.lease.slices == first.slices)
    #expect(try announce(third.lease, 3, bits: 4).quarantined == ["host-1"])
  }

  // MARK: Room

  @Test func nobodyIsAskedToKeepMoreThanItsRoom() throws {
    var script = try ReductionScript(hosts: 3, room: 2)
    for other in [2, 3] as [UInt64] { try script.handle(.disconnected(PeerID(rawValue: other))) }
    for kept in 1...2 {
      try script.completeAll(but: [2, 3])
      #expect(script.script.status.workers[0].keptGradients == kept)
      try script.ready(1)
    }
    // A third one of its is pushed whole.
    let more = try #require(script.held[1]?.last)
    let effects = try script.tell(.finished(Script.result(of: more, parameters: ReductionScript.parameters)), 1)
    #expect(effects.contains(.send(.grant(more.lease, keepsGradient: false), to: PeerID(rawValue: 1))))
  }

  @Test func aStepWithMoreSlicesThanThereIsRoomForIsNotReduced() throws {
    let script = try ReductionScript(hosts: 3, room: 1)
    #expect(script.held.values.flatMap { $0 }.allSatisfy { !$0.hashesGradient })
  }

  @Test func picturesThatAreLostBeginTheStepAgainAndVoidItsSums() throws {
    var script = try ReductionScript()
    try script.completeAll()
    let effects = try script.handle(.picturesLost([101], reason: "gone", isMet: true))
    #expect(effects.contains(.startOver(step: 1)) && script.phase == "computing")
    #expect(script.script.status.workers.allSatisfy { $0.keptGradients == 0 })
  }
}
