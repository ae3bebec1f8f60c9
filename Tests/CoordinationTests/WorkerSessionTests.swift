import Coordination
import Messages
import Testing

@Suite("What a worker was told before changes nothing that comes after") struct WorkerSessionTests {
  @Test func aGrantThatIsSaidAgainBeforeItsTurnReplacesTheFirst() throws {
    var worker = try WorkerScript.joined()
    for number in 1...3 as ClosedRange<UInt64> { try worker.announce(number) }
    #expect(try worker.hear(.grant(LeaseID(1), keepsGradient: false)) == ["push 1"])
    try worker.hear(.grant(LeaseID(2), keepsGradient: true))
    try worker.hear(.grant(LeaseID(3), keepsGradient: false))
    #expect(try worker.hear(.grant(LeaseID(2), keepsGradient: false)) == [])
    #expect(try worker.hear(.grant(LeaseID(3), keepsGradient: true)) == [])
    #expect(try worker.work(.pushed(LeaseID(1))) == ["forget 1", "push 2"])
    #expect(try worker.work(.pushed(LeaseID(2))) == ["forget 2", "push 3 without its gradient"])
  }

  @Test func aGrantThatIsSaidAgainDuringThePushChangesNothing() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    #expect(try worker.hear(.grant(LeaseID(1), keepsGradient: true)) == ["push 1 without its gradient"])
    #expect(try worker.hear(.grant(LeaseID(1), keepsGradient: false)) == [])
    #expect(try worker.work(.pushed(LeaseID(1))) == [])
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 [1]"], "its gradient is here")
  }

  @Test func aPushThatEndsForAnotherLeaseDoesNotEndTheOneUnderWay() throws {
    var worker = try WorkerScript.joined()
    for number in 1...3 as ClosedRange<UInt64> { try worker.announce(number) }
    #expect(try worker.hear(.grant(LeaseID(1))) == ["push 1"])
    #expect(try worker.hear(.grant(LeaseID(2))) == [])
    #expect(try worker.work(.pushFailed(Returned(lease: LeaseID(9), reason: "late"))) == [])
    #expect(try worker.work(.pushed(LeaseID(9))) == [])
    #expect(try worker.work(.pushed(LeaseID(1))) == ["forget 1", "push 2"])
  }

  private func newSession(_ worker: inout WorkerScript) throws {
    try worker.hear(WorkerScript.refusal(.unknownPeer))
    try worker.hear(.welcome(WorkerScript.welcome))
  }

  @Test func thePushOfAnEarlierSessionKeepsNobodyWaiting() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    try worker.hear(.grant(LeaseID(1)))
    try newSession(&worker)
    try worker.join()
    try worker.announce(1, session: 2)
    #expect(try worker.hear(.grant(LeaseID(1))) == ["push 1"])
    #expect(try worker.work(.pushed(LeaseID(1)), session: 1) == [])
    #expect(try worker.work(.pushed(LeaseID(1)), session: 2) == ["forget 1"])
  }

  @Test func itDoesNotRestForTheFailuresOfAnEarlierSession() throws {
    var worker = try WorkerScript.joined()
    for number in 1...8 as ClosedRange<UInt64> {
      try worker.hear(.lease(WorkerScript.lease(number)))
      try worker.work(.failed(Returned(lease: LeaseID(number), reason: "not today")))
      try worker.work(.slicesEnded(LeaseID(number), count: 1))
    }
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 0 []"])
    try newSession(&worker)
    #expect(try worker.join() == ["ready 2 []"])
    // Nor does the row of failures go on.
    try worker.hear(.lease(WorkerScript.lease(1)))
    try worker.work(.failed(Returned(lease: LeaseID(1), reason: "not today")), session: 2)
    #expect(worker.lines == ["Gave lease 1 back: not today."])
  }

  @Test func beforeTheRunIsJoinedItAsksForNoWorkAndTakesNone() throws {
    var worker = WorkerScript()
    try worker.handle(.tick)
    try worker.hear(.welcome(WorkerScript.welcome))
    #expect(try worker.handle(.tick, after: 1_000) == [])
    #expect(try worker.hear(.lease(WorkerScript.lease(1))) == [])
    #expect(try worker.hear(.welcome(WorkerScript.welcome)) == [])
    #expect(try worker.join() == ["ready 2 []"])
  }

  @Test func whatItSaysAndForgetsGoesByTheNumbersOfTheLeases() throws {
    var worker = try WorkerScript.joined()
    for number in [5, 3, 4, 1, 2] as [UInt64] { try worker.announce(number) }
    #expect(
      try worker.handle(.tick, after: 1_000)
        == ["ready 2 [1, 2, 3, 4, 5]"] + (1...5).map { "finished \($0)" })
    for number in [4, 2] as [UInt64] {
      try worker.hear(.grant(LeaseID(number), keepsGradient: true))
      try worker.work(.pushed(LeaseID(number)))
    }
    #expect(try worker.hear(.heartbeat(step: 1)) == ["forget 2", "forget 4"])
  }

  @Test func aClockThatStepsBackStandsStill() throws {
    var worker = try WorkerScript.joined()
    #expect(try worker.handle(.tick, after: 10_000) == ["ready 2 []"])
    #expect(try worker.handle(.tick, before: 5_000) == [])
    #expect(try worker.handle(.tick, after: 5_900) == [])
    #expect(try worker.handle(.tick, after: 100) == ["ready 2 []"])
  }
}
