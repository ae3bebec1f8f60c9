import Coordination
import Messages
import Numerics
import Slices
import Testing

@Suite("Every slice is computed by somebody, and counted once")
struct LeaseTests {
  @Test func sharesFollowThreads() throws {
    var script = Script(slices: 8)
    try script.say(Script.hello(threads: 1), 1)
    try script.say(Script.hello(threads: 3), 2)
    #expect(try script.ready(1, idle: 1).map(\.slices) == [SliceRange(first: 0, count: 1)])
    // Three idle threads of four: nodes of 2 and 1.
    #expect(
      try script.ready(2, idle: 3).map(\.slices) == [SliceRange(first: 2, count: 2), SliceRange(first: 1, count: 1)])
  }

  @Test func aLeaseOnTheWayIsNotIssuedTwice() throws {
    var script = Script()
    #expect(try script.join(1).count == 1)
    // Said before the lease came: the thread is taken.
    #expect(try script.ready(1, idle: 1, after: 10).isEmpty)
    // After two heartbeats it must be lost.
    #expect(try script.ready(1, idle: 1, after: 2_000).map(\.slices.first) == [0])
    #expect(script.status.counts.lost == 1)
  }

  @Test func aStepEndsWithItsLastSliceAndTheNextBegins() throws {
    var script = Script(slices: 2)
    let first = try script.join(1)[0]
    let second = try script.join(2)[0]
    try script.complete(second, by: 2)
    #expect(!script.effects.contains(.startUpdate(step: 0)))
    try script.complete(first, by: 1)
    #expect(script.effects.contains(.startUpdate(step: 0)))
    try script.ready(1, idle: 1)
    #expect(try script.ready(2, idle: 1).isEmpty)
    try script.handle(.updateFinished(Script.version(1)))
    let next = script.leases(to: 1) + script.leases(to: 2)
    #expect(
      next.count == 2 && next.allSatisfy { $0.step == 1 && $0.student == Script.version(1).student && $0.rows == 100 })
  }

  @Test func aStepsSlicesAreSharedByAllWhoWait() throws {
    var script = Script(slices: 8)
    for worker in 1...4 as ClosedRange<UInt64> { try script.say(Script.hello(threads: 8), worker) }
    for lease in try script.ready(1, idle: 8) { try script.complete(lease, by: 1) }
    for worker in 1...4 as ClosedRange<UInt64> { try script.ready(worker, idle: 8) }
    try script.handle(.updateFinished(Script.version(1)))
    for worker in 1...4 as ClosedRange<UInt64> {
      #expect(script.leases(to: worker).map(\.slices.count) == [2], "worker \(worker)")
    }
  }

  @Test func aSecondArrivalCountsNothing() throws {
    var script = Script(slices: 2)
    let lease = try script.join(1)[0]
    #expect(try script.complete(lease, by: 1).accepted == [lease.slices])
    #expect(try script.handle(.pushArrived(lease.lease, .whole)).accepted.isEmpty)
    #expect(try script.say(.finished(Script.result(of: lease)), 1).cancels(lease, of: 1))
    #expect(script.status.acceptedSlices == 1 && script.status.counts.late == 1)
  }

  @Test func aSilentWorkersSlicesGoToAnotherAndTheFirstAnswerWins() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    #expect(try script.join(2, after: 1_000).isEmpty)
    var copy: Lease?
    for _ in 0..<5 where copy == nil { copy = try script.ready(2, idle: 1, after: 1_000).first }
    let other = try #require(copy)
    #expect(other.slices == lease.slices && script.status.counts.expired == 1)
    // The first is heard again and is the first to answer; the copy is not wanted any more.
    let effects = try script.complete(lease, by: 1)
    #expect(effects.accepted == [lease.slices] && effects.cancels(other, of: 2))
  }

  @Test func theSlicesOfALostConnectionAreLeasedAtOnceAndTheFirstAnswerWins() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    #expect(try script.join(2, after: 10).isEmpty)
    try script.handle(.disconnected(PeerID(rawValue: 1)), after: 10)
    let copy = try #require(script.leases(to: 2).first, "an idle worker waits beside a lease of nobody")
    #expect(copy.slices == lease.slices)
    #expect(script.status.workers.map(\.isConnected) == [false, true] && script.status.connectedWorkers.count == 1)
    // It is back, and the first to answer.
    let effects = try script.complete(lease, by: 1, after: 10)
    #expect(effects.accepted == [lease.slices] && effects.cancels(copy, of: 2))
    #expect(script.status.connectedWorkers.count == 2)
  }

  @Test func whoIsNotConnectedGetsNothingUntilItIsHeardAgain() throws {
    var script = Script(slices: 4)
    try script.say(Script.hello(threads: 2), 1)
    try script.handle(.disconnected(PeerID(rawValue: 1)), after: 10)
    try script.handle(.tick, after: 100)
    #expect(script.leases(to: 1).isEmpty)
    // What it said before its connection ended comes late, and then that it ended.
    let held = try script.ready(1, idle: 2).map(\.lease)
    try script.handle(.disconnected(PeerID(rawValue: 1)))
    try script.join(2)
    #expect(script.leases(to: 2).count == 1 && script.status.counts.expired > 0)
    #expect(try script.ready(1, idle: 1, held: held, after: 100).count == 1)
    // Strangers come and go.
    #expect(try script.handle(.disconnected(PeerID(rawValue: 77))).isEmpty)
  }

  @Test func aPayloadThatALostConnectionWasToBringComesFromAnother() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    try script.join(2)
    #expect(try script.say(.finished(Script.result(of: lease)), 1).grants(lease, to: 1))
    try script.handle(.disconnected(PeerID(rawValue: 1)), after: 10)
    #expect(script.effects.contains(.abandonPush(lease.lease)))
    let copy = try #require(script.leases(to: 2).first)
    #expect(try script.complete(copy, by: 2).accepted == [lease.slices])
  }

  @Test func ofTwoCopiesOnlyOneComes() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    try script.join(2)
    try script.say(.ready(Ready(idleThreads: 0, held: [lease.lease])), 1, after: 4_000)
    try script.ready(2, idle: 1)
    try script.say(.ready(Ready(idleThreads: 0, held: [lease.lease])), 1, after: 4_000)
    try script.ready(2, idle: 1)
    #expect(script.leases(to: 2).isEmpty)
    try script.say(.ready(Ready(idleThreads: 0, held: [lease.lease])), 1, after: 3_000)
    let copy = try #require(script.leases(to: 2).first, "after 10 s without a known pace a copy is worth it")
    #expect(try script.say(.finished(Script.result(of: copy)), 2).grants(copy, to: 2))
    #expect(try !script.say(.finished(Script.result(of: lease)), 1).grants(lease, to: 1))
    // The copy is damaged on its way: now the other may come.
    #expect(try script.handle(.pushArrived(copy.lease, .damaged)).grants(lease, to: 1))
    #expect(try script.handle(.pushArrived(lease.lease, .whole)).accepted == [lease.slices])
  }

  /// A worker holds 0..<4, a copy of its half comes first: the larger lease cannot be taken apart, and its rest is free.
  @Test func aLargerLeaseGivesWayToACopyOfItsHalf() throws {
    var script = Script(slices: 4)
    let all = try script.join(1, threads: 4)[0]
    #expect(all.slices.count == 4)
    try script.join(2, threads: 2)
    var copy: Lease?
    for _ in 0..<6 where copy == nil { copy = try script.ready(2, idle: 2, after: 1_000).first }
    let half = try #require(copy)
    #expect(half.slices.count == 2)
    let effects = try script.complete(half, by: 2)
    #expect(effects.cancels(all, of: 1))
    #expect(try script.say(.finished(Script.result(of: all)), 1).cancels(all, of: 1))
    let rest = try script.ready(1, idle: 4)
    #expect(rest.map(\.slices.count).reduce(0, +) + script.status.acceptedSlices == 4)
  }

  @Test func deadlinesFollowTheWorkersOwnPace() throws {
    var script = Script(slices: 2)
    let first = try script.join(1)[0]
    try script.complete(first, by: 1, after: 1_000)
    #expect(script.status.workers[0].slicesPerSecond == 1)
    let second = try script.ready(1, idle: 1)[0]
    // 4 x 1 s and 2 s.
    for _ in 0..<5 { try script.ready(1, idle: 0, held: [second.lease], after: 1_000) }
    #expect(script.status.counts.expired == 0)
    try script.ready(1, idle: 0, held: [second.lease], after: 1_000)
    #expect(script.status.counts.expired == 1)
    // It may still answer.
    #expect(try script.complete(second, by: 1).accepted == [second.slices])
  }

  @Test func aHangingLeaseIsTakenBack() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1, threads: 2)[0]
    var again: [Lease] = []
    for _ in 0..<490 where again.isEmpty {
      again = try script.ready(1, idle: 1, held: [lease.lease], after: 1_000)
    }
    #expect(again.map(\.slices) == [lease.slices])
  }

  @Test func gradientsInFlightAreBounded() throws {
    var script = Script(slices: 16)
    let leases = try (1...8 as ClosedRange<UInt64>).map { try script.join($0, threads: 1)[0] }
    for (worker, lease) in zip(UInt64(1)..., leases) {
      let granted = try script.say(.finished(Script.result(of: lease)), worker).grants(lease, to: worker)
      #expect(granted == (worker <= UInt64(CoordinationLimits.gradientsInFlight)))
    }
    #expect(try script.handle(.pushArrived(leases[0].lease, .whole)).grants(leases[4], to: 5))
  }

  @Test func aPushThatStallsGivesItsPlaceToAnother() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    try script.say(.finished(Script.result(of: lease)), 1)
    for _ in 0..<30 { try script.handle(.pushProgressed(lease.lease), after: 1_000) }
    #expect(script.effects.isEmpty)
    for _ in 0..<9 { try script.ready(1, idle: 1, held: [lease.lease], after: 1_000) }
    try script.ready(1, idle: 1, held: [lease.lease], after: 1_000)
    #expect(script.effects.contains(.abandonPush(lease.lease)))
  }

  /// Found by the simulator: a grant that its worker had forgotten was given a place again and again.
  @Test func aGrantThatItsWorkerForgotIsComputedAgain() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    #expect(try script.say(.finished(Script.result(of: lease)), 1).grants(lease, to: 1))
    #expect(try script.ready(1, idle: 1, after: 1_000).isEmpty)
    #expect(try script.ready(1, idle: 1, after: 1_000).isEmpty)
    #expect(script.effects.contains(.abandonPush(lease.lease)) && script.status.workers[0].undelivered == 1)
    #expect(try script.ready(1, idle: 1, after: 2_000).map(\.slices) == [lease.slices])
  }

  @Test func aReturnedLeaseGoesToAnotherWorker() throws {
    var script = Script(slices: 2)
    let lease = try script.join(1)[0]
    let other = try script.join(2)[0]
    try script.say(.returned(Returned(lease: lease.lease, reason: "a.jpg: input/output error")), 1)
    #expect(try script.ready(1, idle: 1).isEmpty)
    try script.complete(other, by: 2)
    #expect(try script.ready(2, idle: 1).map(\.slices) == [lease.slices])
  }

  @Test func whatNobodyCanReadStopsTheRun() throws {
    var script = Script(slices: 1, durableStep: 0)
    var stops: [StopReason] = []
    var leased: [(worker: UInt64, lease: Lease)] = []
    var returns = 0
    func look() {
      stops += script.stops
      for worker in 1...2 as ClosedRange<UInt64> { leased += script.leases(to: worker).map { (worker, $0) } }
    }
    for worker in 1...2 as ClosedRange<UInt64> {
      try script.join(worker)
      look()
    }
    for _ in 0..<40 where stops.isEmpty {
      for worker in 1...2 as ClosedRange<UInt64> {
        try script.ready(worker, idle: 1, held: leased.filter { $0.worker == worker }.map(\.lease.lease), after: 500)
        look()
      }
      while let (worker, lease) = leased.popLast() {
        returns += 1
        try script.say(.returned(Returned(lease: lease.lease, reason: "a.jpg: input/output error")), worker)
        look()
      }
    }
    #expect(returns >= 2 * CoordinationLimits.returns)
    guard case .failed(let why) = try #require(stops.first) else { throw CancellationError() }
    #expect(why.contains("a.jpg: input/output error") && why.contains("Slice 0 of step 0"))
  }

  @Test func anOutageIsWaitedForHoweverLong() throws {
    var script = Script(slices: 1, durableStep: 0)
    var leases = try script.join(1)
    var returns = 0
    var lines: [String] = []
    func note(_ effects: [Effect]) {
      for case .log(_, let text) in effects where text.contains("g") && text.contains("back") { lines.append(text) }
    }
    for _ in 0..<100 {
      for lease in leases {
        returns += 1
        try script.say(.returned(Returned(lease: lease.lease, reason: "no answer", isPassing: true)), 1)
        note(script.effects)
      }
      leases = try script.ready(1, idle: 1, after: 500)
      note(script.effects)
    }
    #expect(returns > 4 * CoordinationLimits.returns && script.stops.isEmpty)
    // 50 seconds: said once, not for each lease, and the rest together when the minute is over.
    #expect(lines.count == 1 && lines[0].hasSuffix("for now: no answer"), "\(lines)")
    try script.handle(.tick, after: 60_000)
    note(script.effects)
    #expect(lines.count == 2 && lines[1].hasPrefix("\(returns - 1) more leases were given back for now, numbers "))
  }

}
