import Coordination
import Messages
import Numerics
import Testing

@Suite("Who announces and does not deliver holds nobody up, is named, and in the end is ignored")
struct DeliveryTests {
  private func warnings(_ effects: [Effect]) -> [String] {
    effects.compactMap { if case .log(.warning, let text) = $0 { text } else { nil } }
  }

  /// One worker that delivers, so that it is known what is usual, in a step of many slices.
  private func script(slices: Int = 16) throws -> Script {
    var script = Script(slices: slices)
    for lease in try script.join(1, on: "a") { try script.complete(lease, by: 1, after: 50) }
    return script
  }

  /// Announces what it is given.
  private func announce(_ script: inout Script, _ leases: [Lease], by worker: UInt64) throws {
    for lease in leases { try script.say(.finished(Script.result(of: lease)), worker) }
    try script.ready(worker, idle: 0, held: leases.map(\.lease))
  }

  @Test func itsSlicesGoToOthersAndItsPlaceToACopy() throws {
    var script = try script(slices: 2)
    let silent = try #require(try script.join(2, on: "b").first)
    try announce(&script, [silent], by: 2)
    #expect(try script.ready(1, idle: 1, after: 1_900).isEmpty)
    let copy = try #require(try script.ready(1, idle: 1, after: 100).first, "after two seconds")
    #expect(copy.slices == silent.slices && script.status.counts.undelivered == 0, "nobody is blamed for it")
    let effects = try script.say(.finished(Script.result(of: copy)), 1, after: 50)
    #expect(effects.contains(.abandonPush(silent.lease)) && effects.grants(copy, to: 1))
    let name = "worker 'b/2' (\(PeerID(rawValue: 2).fingerprint))"
    #expect(warnings(effects).contains { $0.hasPrefix("\(name) announced slice ") && $0.contains(" for 2 s after ") })
    #expect(script.status.workers.map(\.undelivered) == [0, 1])
    #expect(try script.handle(.pushArrived(copy.lease, .whole)).contains(.startUpdate(step: 0)))
  }

  @Test func onProbationItsLeasesKeepNothingFromOthersAndItGetsOneAtATime() throws {
    var script = try script()
    let silent = try #require(try script.join(2, on: "b").first)
    try announce(&script, [silent], by: 2)
    try script.handle(.pushArrived(silent.lease, .damaged), after: 10)
    #expect(script.status.workers[1].undelivered == 1)
    #expect(try script.ready(2, idle: 1, after: 1_900).isEmpty, "no lease for two seconds")
    let next = try script.ready(2, idle: 1, after: 200)
    #expect(next.count == 1)
    #expect(try script.ready(1, idle: 1).map(\.slices) == next.map(\.slices))
    // It delivers: all is well.
    try script.complete(next[0], by: 2, after: 10)
    let after = try #require(try script.ready(2, idle: 1).first)
    #expect(try !script.ready(1, idle: 1).map(\.slices).contains(after.slices))
  }

  /// Each step waits until the other may have its slice too; but not for ever.
  @Test func whoTakesLeasesAndAnswersNoneIsWaitedForTwice() throws {
    var script = try script(slices: 2)
    _ = try #require(try script.join(2, on: "b").first)
    for step in 1...2 {
      #expect(try script.ready(1, idle: 1, after: 50).isEmpty)
      let copy = try #require(try script.ready(1, idle: 1, after: 100).first)
      try script.complete(copy, by: 1, after: 50)
      try script.handle(.updateFinished(Script.version(step)))
      let own = try #require(try script.ready(1, idle: 1).first)
      _ = try #require(try script.ready(2, idle: 1).first, "it may try again")
      try script.complete(own, by: 1, after: 50)
    }
    let next = try #require(try script.ready(1, idle: 1).first, "at once")
    try script.complete(next, by: 1, after: 50)
    // It answers: all is well.
    try script.handle(.updateFinished(Script.version(3)))
    let late = try #require(try script.ready(2, idle: 1).first)
    try script.complete(late, by: 2, after: 50)
    let last = try #require(try script.ready(2, idle: 1).first)
    #expect(last.slices != late.slices)
    #expect(try script.ready(1, idle: 1).isEmpty)
  }

  @Test func severalOfThemTakeOnePlaceTogetherAndOnlyWhereNobodyElseWaits() throws {
    var script = try script()
    var leases: [UInt64: Lease] = [:]
    for worker in 2...5 as ClosedRange<UInt64> {
      let lease = try #require(try script.join(worker, on: "b").first)
      leases[worker] = lease
      try announce(&script, [lease], by: worker)
    }
    // All four places are taken. One that delivers waits, and two seconds later has the first.
    let mine = try #require(try script.ready(1, idle: 1).first)
    #expect(try !script.say(.finished(Script.result(of: mine)), 1).grants(mine, to: 1))
    #expect(try script.handle(.tick, after: 2_000).grants(mine, to: 1))
    try script.handle(.pushArrived(mine.lease, .whole), after: 50)
    func beat() throws {
      for (worker, lease) in leases { try script.ready(worker, idle: 0, held: [lease.lease]) }
    }
    // From now on none of its payloads waits for theirs.
    var isComplete = false
    for _ in 0..<8 where !isComplete {
      try beat()
      let next = try #require(try script.ready(1, idle: 1, after: 10).first)
      #expect(try script.say(.finished(Script.result(of: next)), 1, after: 10).grants(next, to: 1), "at once")
      isComplete = try script.handle(.pushArrived(next.lease, .whole), after: 50).contains(.startUpdate(step: 0))
    }
    #expect(isComplete)
  }

  @Test func aPayloadThatProgressesIsNoFailureHoweverSlowItIs() throws {
    var script = try script(slices: 2)
    let slow = try #require(try script.join(2, on: "b").first)
    try announce(&script, [slow], by: 2)
    var copy: Lease?
    for _ in 0..<60 where copy == nil {
      try script.handle(.pushProgressed(slow.lease), after: 1_000)
      try script.ready(2, idle: 1, held: [slow.lease])
      copy = try script.ready(1, idle: 1).first
    }
    let other = try #require(copy)
    #expect(script.time > 9_000 && other.slices == slow.slices)
    // The copy waits while this one's payload comes, and is not needed in the end.
    #expect(try !script.say(.finished(Script.result(of: other)), 1, after: 100).grants(other, to: 1))
    #expect(try script.handle(.pushArrived(slow.lease, .whole), after: 100).contains(.startUpdate(step: 0)))
    #expect(script.status.workers.map(\.undelivered) == [0, 0] && script.status.counts.undelivered == 0)
  }

  @Test func whoIsAloneMayTakeItsTime() throws {
    var script = Script(slices: 4)
    let lease = try #require(try script.join(1).first)
    try announce(&script, [lease], by: 1)
    for _ in 0..<9 { try script.ready(1, idle: 0, held: [lease.lease], after: 1_000) }
    #expect(script.status.counts.undelivered == 0)
    #expect(try script.handle(.pushArrived(lease.lease, .whole)).accepted == [lease.slices])
  }

  /// A worker pushes one payload after the other.
  @Test func whatWaitsBehindAPayloadOfTheSameWorkerIsNotSilent() throws {
    var script = Script(slices: 4)
    var leases = try script.join(1)
    leases += try script.ready(1, idle: 1, held: leases.map(\.lease))
    #expect(leases.count == 2)
    try announce(&script, leases, by: 1)
    for _ in 0..<30 { try script.handle(.pushProgressed(leases[0].lease), after: 1_000) }
    #expect(!script.effects.contains { if case .abandonPush = $0 { true } else { false } })
    #expect(script.status.counts.undelivered == 0)
  }

  @Test func whoForgetsWhatItAnnouncedOrGivesItBackFailsToo() throws {
    var script = try script()
    let forgotten = try #require(try script.join(2, on: "b").first)
    try script.say(.finished(Script.result(of: forgotten)), 2)
    try script.ready(2, idle: 1, after: 2_000)
    #expect(script.status.workers[1].undelivered == 1)
    let returned = try #require(try script.join(3, on: "c").first)
    try script.say(.finished(Script.result(of: returned)), 3)
    try script.say(.returned(Returned(lease: returned.lease, reason: "no", isPassing: true)), 3)
    #expect(script.status.workers[2].undelivered == 1)
  }

  @Test func pausesGrowAndThenItIsIgnored() throws {
    var script = try script(slices: 256)
    try script.join(2, on: "b")
    var pauses: [UInt64] = []
    var since: UInt64 = 0
    while script.time < 600_000 {
      try script.ready(2, idle: 1, after: 500)
      guard let lease = script.leases(to: 2).first else { continue }
      pauses.append((script.time - since) / 1_000)
      try script.say(.finished(Script.result(of: lease)), 2)
      try script.handle(.pushArrived(lease.lease, .damaged))
      since = script.time
      if !script.refusals.isEmpty { break }
    }
    #expect(pauses.dropFirst() == [2, 4, 8, 16, 32, 64, 128])
    #expect(script.refusals.first?.text.contains("8 payloads of this worker in a row did not come") == true)
    #expect(try script.say(Script.hello(host: "b"), 2, after: 1_000).isEmpty, "ignored")
    try script.handle(.tick, after: 60_000)
    #expect(try !script.say(Script.hello(host: "b"), 2).isEmpty)
  }
}
