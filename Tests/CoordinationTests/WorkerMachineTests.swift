import Coordination
import Messages
import Numerics
import Slices
import Testing

@Suite("A worker follows its coordinator") struct WorkerContactTests {
  @Test("It says hello until it is welcomed, then joins, then is ready") func joins() throws {
    var worker = WorkerScript()
    #expect(try worker.handle(.tick) == ["hello"])
    #expect(
      worker.senders == [
        Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: WorkerScript.peer)
      ])
    #expect(try worker.handle(.tick, after: 100) == [])
    #expect(try worker.handle(.tick, after: 900) == ["hello"])
    #expect(try worker.hear(.welcome(WorkerScript.welcome), 4) == ["join 4 as 1"])
    #expect(try worker.join() == ["ready 2 []"])
    #expect(worker.lines == ["Joined the run at there, incarnation 4."])
    #expect(worker.senders == [Sender(run: WorkerScript.run, incarnation: Incarnation(4), peer: WorkerScript.peer)])
  }

  @Test("What cannot be joined ends it, without a goodbye") func cannotJoin() throws {
    var worker = WorkerScript()
    try worker.handle(.tick)
    try worker.hear(.welcome(WorkerScript.welcome))
    let ending = WorkerEnding.turnedAway(reason: "its run cannot be joined: no memory")
    #expect(try worker.handle(.couldNotJoin(reason: "no memory")) == ["stop \(ending)"])
    #expect(try worker.handle(.tick, after: 10_000) == [])
  }

  @Test("A hello that never left is said at the next look, one that did waits") func unsentHello() throws {
    var worker = WorkerScript()
    for _ in 0..<5 {
      #expect(try worker.handle(.tick, after: 10) == ["hello"])
      #expect(try worker.handle(.connectionLost) == [])
    }
    try worker.handle(.tick, after: 10)
    #expect(try worker.handle(.tick, after: 10) == [])
  }

  @Test("What an older incarnation says is dropped, whatever it is") func olderIncarnation() throws {
    var worker = try WorkerScript.joined(2)
    try worker.announce(1, incarnation: 2)
    let words: [CoordinatorMessage] = [
      .welcome(WorkerScript.welcome), .finished, .lease(WorkerScript.lease(2)), .grant(LeaseID(1)),
      .cancel(LeaseID(1)), WorkerScript.refusal(.unknownPeer), WorkerScript.refusal(.quarantined),
      WorkerScript.refusal(.computeClass), .heartbeat(step: 1),
    ]
    for word in words { #expect(try worker.hear(word, 1) == [], "\(word)") }
    #expect(try worker.hear(.grant(LeaseID(1)), 2) == ["push 1"])
  }

  @Test("An older incarnation that answers is told of, once in a while, and is no answer")
  func olderIncarnationIsToldOf() throws {
    var worker = try WorkerScript.joined(2)
    try worker.handle(.tick, after: 2_000)
    try worker.hear(WorkerScript.refusal(.unknownPeer), 1)
    let told =
      "Incarnation 1 of the run answers at there, though 2 was started after it: it is not listened to. Stop that coordinator."
    #expect(worker.lines == [told])
    try worker.handle(.tick, after: 2_000)
    #expect(worker.lines == ["No answer from the coordinator at there for 4 s; still trying."])
    try worker.hear(WorkerScript.refusal(.unknownPeer), 1)
    #expect(worker.lines == [])
  }

  @Test("A newer incarnation's welcome makes all leases void and is joined at once") func newerWelcome() throws {
    var worker = try WorkerScript.joined(1)
    try worker.announce(1)
    #expect(try worker.hear(.welcome(WorkerScript.welcome), 2) == ["leave", "join 2 as 2"])
    #expect(try worker.join() == ["ready 2 []"])
  }

  @Test("Any other word of a newer incarnation makes all leases void, and is greeted at once") func newerWord() throws {
    for word in [WorkerScript.refusal(.unknownPeer), .heartbeat(step: 3), .lease(WorkerScript.lease(1))] {
      var worker = try WorkerScript.joined(1)
      try worker.announce(1)
      #expect(try worker.hear(word, 2) == ["leave", "hello"], "\(word)")
      // Whoever is older than the newest that it heard of learns so.
      #expect(worker.senders.map(\.incarnation) == [Incarnation(2)])
      #expect(try worker.hear(.welcome(WorkerScript.welcome), 1) == [])
      #expect(try worker.hear(.welcome(WorkerScript.welcome), 2) == ["join 2 as 2"])
    }
  }

  @Test("Finished counts of the incarnation that is followed, or a newer one, and ends it with a goodbye")
  func finished() throws {
    for (incarnation, ends) in [(1 as UInt64, false), (2, true), (3, true)] {
      var worker = try WorkerScript.joined(2)
      let words = try worker.hear(.finished, incarnation)
      #expect(words.last == (ends ? "stop finished" : nil), "\(words)")
      if incarnation == 2 { #expect(words == ["leave", "goodbye", "stop finished"]) }
    }
    // The welcome may be lost, and the run over.
    var stranger = WorkerScript()
    try stranger.handle(.tick)
    #expect(try stranger.hear(.finished) == ["stop finished"])
  }

  @Test("Another run neither welcomes nor ends it, but by refusing what it says") func otherRun() throws {
    var worker = try WorkerScript.joined(5)
    for word: CoordinatorMessage in [.welcome(WorkerScript.welcome), .finished, WorkerScript.refusal(.quarantined)] {
      #expect(try worker.hear(word, 1, run: WorkerScript.otherRun) == [], "\(word)")
    }
    #expect(try worker.hear(WorkerScript.refusal(.otherRun), 1, run: WorkerScript.otherRun) == ["leave", "hello"])
    #expect(worker.senders.map(\.run) == [WorkerScript.otherRun])
    #expect(try worker.hear(.welcome(WorkerScript.welcome), 1, run: WorkerScript.otherRun) == ["join 1 as 2"])
  }

  @Test("A coordinator that does not know it is greeted at once, and again after a pause") func unknown() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    #expect(try worker.hear(WorkerScript.refusal(.unknownPeer)) == ["leave", "hello"])
    #expect(worker.lines == ["Because. Saying hello again."])
    // Refused again, for now: it waits its turn.
    #expect(try worker.hear(WorkerScript.refusal(.unknownPeer)) == [])
    #expect(worker.lines == ["Because."])
    #expect(try worker.handle(.tick, after: 500) == ["hello"])
  }

  @Test("In silence it shows signs of life, keeps what it holds, and says no hello") func silence() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    for _ in 0..<60 { #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 [1]", "finished 1"]) }
  }

  @Test(
    "After its connection was lost it is heard at the next look: ready where it was welcomed, hello where it was not")
  func connectionLost() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    for _ in 0..<3 {
      #expect(try worker.handle(.connectionLost, after: 10) == [])
      #expect(try worker.handle(.tick) == ["ready 2 [1]", "finished 1"])
    }
    #expect(try worker.handle(.tick, after: 900) == [])

    var stranger = WorkerScript()
    for _ in 0..<100 { try stranger.handle(.tick, after: 1_000) }
    #expect(try stranger.handle(.tick) == [])
    #expect(try stranger.handle(.connectionLost) == [])
    #expect(try stranger.handle(.tick) == ["hello"])
    #expect(try stranger.handle(.tick, after: 500) == ["hello"])
  }

  @Test("A hello that is answered twice keeps what is held, and who is idle is said anew") func welcomedTwice() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    #expect(try worker.hear(.welcome(WorkerScript.welcome)) == ["ready 2 [1]"])
  }

  @Test("Who will not work with it ends it; what may pass does not") func turnedAway() throws {
    for reason in Refusal.Reason.allCases {
      var worker = WorkerScript()
      try worker.handle(.tick)
      let words = try worker.hear(WorkerScript.refusal(reason))
      switch reason {
      case .protocolVersion, .computeClass, .quarantined:
        #expect(words == ["stop \(WorkerEnding.turnedAway(reason: "Because."))"], "\(reason)")
      case .unknownPeer, .otherRun, .malformed, .tooManyPeers, .duplicateShard:
        #expect(words == [] && worker.lines == ["Because."], "\(reason)")
      }
    }
  }

  @Test("Asked to stop, or given up on, it says goodbye where it is known") func stops() throws {
    var worker = try WorkerScript.joined()
    try worker.announce(1)
    #expect(try worker.handle(.stopRequested) == ["leave", "goodbye", "stop stopped"])
    #expect(try worker.hear(.lease(WorkerScript.lease(2))) == [])
    var stranger = WorkerScript(givesUpAfter: .seconds(10))
    try stranger.handle(.tick)
    #expect(try stranger.handle(.tick, after: 9_000) == ["hello"])
    #expect(try stranger.handle(.tick, after: 1_000) == ["stop silent"])
  }
}

@Suite("A worker's leases") struct WorkerLeaseTests {
  @Test("A lease is computed, announced until it is granted, pushed once, and gone") func lifeOfALease() throws {
    var worker = try WorkerScript.joined()
    let lease = WorkerScript.lease(1, slices: SliceRange(first: 0, count: 2))
    #expect(try worker.hear(.lease(lease)) == ["compute 1"])
    #expect(try worker.hear(.lease(lease)) == [])
    #expect(try worker.hear(.grant(LeaseID(1))) == [])
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 0 [1]"])
    #expect(try worker.work(.slicesEnded(LeaseID(1), count: 1)) == ["ready 1 [1]"])
    #expect(try worker.work(.computed(WorkerScript.finished(1))) == ["finished 1"])
    #expect(try worker.work(.slicesEnded(LeaseID(1), count: 1)) == ["ready 2 [1]"])
    for _ in 0..<3 { #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 [1]", "finished 1"]) }
    #expect(try worker.hear(.grant(LeaseID(1))) == ["push 1"])
    #expect(try worker.hear(.grant(LeaseID(1))) == [])
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 [1]"])
    #expect(try worker.work(.pushed(LeaseID(1))) == ["forget 1"])
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 []"])
  }

  @Test("Payloads go one after the other, in the order of their grants") func pushesInOrder() throws {
    var worker = try WorkerScript.joined()
    for number in 1...4 as ClosedRange<UInt64> { try worker.announce(number) }
    #expect(try worker.hear(.grant(LeaseID(3))) == ["push 3"])
    for number in [1, 4, 2] as [UInt64] { #expect(try worker.hear(.grant(LeaseID(number))) == []) }
    // One that waits is dropped, the one under way goes on until that has ended.
    #expect(try worker.hear(.cancel(LeaseID(4))) == ["forget 4"])
    #expect(try worker.hear(.cancel(LeaseID(3))) == ["forget 3"])
    #expect(try worker.work(.pushFailed(Returned(lease: LeaseID(3), reason: "refused"))) == ["push 1"])
    let failed = Returned(lease: LeaseID(1), reason: "refused")
    #expect(try worker.work(.pushFailed(failed)) == ["forget 1", "returned 1", "push 2"])
    #expect(try worker.work(.pushed(LeaseID(2))) == ["forget 2"])
  }

  @Test("A cancelled lease is neither announced nor given back; its threads are busy until they say so")
  func cancelled() throws {
    var worker = try WorkerScript.joined()
    try worker.hear(.lease(WorkerScript.lease(1, slices: SliceRange(first: 0, count: 2))))
    #expect(try worker.hear(.cancel(LeaseID(1))) == ["forget 1"])
    #expect(try worker.hear(.cancel(LeaseID(1))) == [])
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 0 []"])
    #expect(try worker.work(.computed(WorkerScript.finished(1))) == [])
    #expect(try worker.work(.failed(Returned(lease: LeaseID(1), reason: "cancelled"))) == [])
    #expect(try worker.work(.slicesEnded(LeaseID(1), count: 2)) == ["ready 2 []"])
  }

  @Test("The first slice that fails gives its lease back, the others do not") func failure() throws {
    var worker = try WorkerScript.joined()
    try worker.hear(.lease(WorkerScript.lease(1, slices: SliceRange(first: 0, count: 2))))
    var returned = Returned(lease: LeaseID(1), reason: "no such file")
    returned.undecodable = [UndecodablePicture(picture: 3, reason: "grey")]
    #expect(try worker.work(.failed(returned)) == ["forget 1", "returned 1"])
    #expect(worker.lines == ["Gave lease 1 back: no such file."])
    guard case .say(.returned(let said), _)? = worker.effects.last else { return #expect(Bool(false)) }
    #expect(said == returned)
    #expect(try worker.work(.failed(returned)) == [])
  }

  @Test("Leases that fit no step are given back with the reason, and count for nothing else") func badLeases() throws {
    var worker = try WorkerScript.joined()
    let bad: [(Lease, String)] = [
      (WorkerScript.lease(1, step: 5), "step 5 of a run of 5"),
      (WorkerScript.lease(2, slices: SliceRange(first: 1, count: 2)), "slices 1 to 3 are no node of 3"),
      (WorkerScript.lease(3, slices: SliceRange(first: 2, count: 2)), "slices 2 to 4 are no node of 3"),
      (WorkerScript.lease(4, rows: 6, floor: 7), "a memory of 6 rows with floor 7"),
      (WorkerScript.lease(5, lost: [100]), "picture 100 of 100 is lost"),
    ]
    for (lease, problem) in bad {
      #expect(try worker.hear(.lease(lease)) == ["returned \(lease.lease.number)"])
      let number = lease.lease.number
      #expect(worker.lines == ["Gave lease \(number) back: the lease cannot be computed: \(problem)."])
    }
    // It does not rest.
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 []"])
  }

  @Test("No more leases are held than a message can list") func fullHands() throws {
    var worker = try WorkerScript.joined()
    for number in 1...UInt64(WireLimits.heldLeases) { try worker.hear(.lease(WorkerScript.lease(number))) }
    #expect(try worker.hear(.lease(WorkerScript.lease(1 << 40))) == ["returned \(1 << 40)"])
    #expect(worker.lines[0].hasSuffix("\(WireLimits.heldLeases) leases are held already."))
  }

  @Test("After failures in a row no work is asked for, longer and longer, and they are said ever more rarely")
  func rests() throws {
    var worker = try WorkerScript.joined()
    var said: [String] = []
    func fail(_ number: UInt64) throws -> [String] {
      try worker.hear(.lease(WorkerScript.lease(number)))
      try worker.work(.failed(Returned(lease: LeaseID(number), reason: "not today")))
      said += worker.lines
      return try worker.work(.slicesEnded(LeaseID(number), count: 1))
    }
    #expect(try fail(1) == ["ready 2 []"])
    for number in 2...8 as ClosedRange<UInt64> { #expect(try fail(number) == ["ready 0 []"]) }
    #expect(said.count == 4 && said[3] == "Gave lease 8 back, the last of 8 in a row: not today.", "\(said)")
    // 0.1 s after the second, 6.4 s after the eighth: at most 5.
    #expect(try worker.handle(.tick, after: 4_999) == ["ready 0 []"])
    #expect(try worker.handle(.tick, after: 1_000) == ["ready 2 []"])
    try worker.announce(9)
    #expect(try fail(10) == ["ready 2 [9]"])
  }

  @Test("What may pass by itself is said once in a while") func passing() throws {
    var worker = try WorkerScript.joined()
    var lines: [String] = []
    for number in 1...3 as ClosedRange<UInt64> {
      try worker.hear(.lease(WorkerScript.lease(number)))
      try worker.work(.failed(Returned(lease: LeaseID(number), reason: "no rows", isPassing: true)))
      lines += worker.lines
    }
    #expect(lines == ["Gave lease 1 back: no rows."])
    try worker.handle(.tick, after: 61_000)
    #expect(worker.lines.contains("2 more leases were given back for now, numbers 2 to 3."), "\(worker.lines)")
  }

  @Test("What the threads of an earlier session say counts for nothing") func earlierSession() throws {
    var worker = try WorkerScript.joined()
    try worker.hear(.lease(WorkerScript.lease(1)))
    try worker.hear(WorkerScript.refusal(.unknownPeer))
    try worker.hear(.welcome(WorkerScript.welcome))
    try worker.join()
    #expect(try worker.hear(.lease(WorkerScript.lease(1))) == ["compute 1"])
    #expect(try worker.work(.computed(WorkerScript.finished(1)), session: 1) == [])
    #expect(try worker.work(.slicesEnded(LeaseID(1), count: 1), session: 1) == [])
    #expect(try worker.work(.computed(WorkerScript.finished(1)), session: 2) == ["finished 1"])
  }

  // MARK: Gradients that stay

  @Test func aGradientThatStaysIsHeldUntilALaterStepBeginsOrItIsCancelled() throws {
    var worker = try WorkerScript.joined()
    for number in [1, 2] as [UInt64] { try worker.announce(number) }
    #expect(try worker.hear(.grant(LeaseID(1), keepsGradient: true)) == ["push 1 without its gradient"])
    #expect(try worker.hear(.grant(LeaseID(2), keepsGradient: true)) == [])
    try worker.handle(.work(.pushed(LeaseID(1)), session: 1))
    try worker.handle(.work(.pushed(LeaseID(2)), session: 1))
    #expect(try worker.hear(.grant(LeaseID(1), keepsGradient: true)) == [], "it is pushed")
    #expect(try worker.hear(.cancel(LeaseID(2))) == ["forget 2"])
    // The step's own heartbeat ends nothing.
    #expect(try worker.hear(.heartbeat(step: 0)) == [])
    #expect(try worker.hear(.heartbeat(step: 1)) == ["forget 1"])
  }

  /// Room for two.
  @Test func itKeepsNoMoreThanItHasRoomFor() throws {
    var worker = try WorkerScript.joined()
    for number in 1...3 as ClosedRange<UInt64> {
      try worker.announce(number)
      try worker.hear(.grant(LeaseID(number), keepsGradient: true))
    }
    for number in 1...2 as ClosedRange<UInt64> { try worker.handle(.work(.pushed(LeaseID(number)), session: 1)) }
    #expect(try worker.handle(.work(.pushed(LeaseID(3)), session: 1)).contains("forget 1"))
  }

  private func reduction(_ number: UInt64, _ nodes: [SliceRange], chunks: [Int] = [0, 1]) -> Reduction {
    Reduction(
      step: 0, number: number, gradients: nodes.map { Reduction.Gradient(slices: $0, hash: nil, holders: []) },
      chunks: chunks)
  }

  @Test func theNewestReductionCountsAndOneThatMakesNoSenseIsGivenBack() throws {
    var worker = try WorkerScript.joined()
    let all = [SliceRange(first: 0, count: 2), SliceRange(first: 2, count: 1)]
    #expect(try worker.hear(.reduction(reduction(5, all))) == ["reduce 5"])
    for number in [5, 4] as [UInt64] { #expect(try worker.hear(.reduction(reduction(number, all))) == []) }
    let senseless = [
      reduction(6, [all[0]]), reduction(7, [all[1]]), reduction(8, all + [all[1]]), reduction(9, all, chunks: [2]),
      reduction(10, [SliceRange(first: 0, count: 1), SliceRange(first: 1, count: 2)]),
    ]
    for reduction in senseless {
      let words = try worker.hear(.reduction(reduction))
      #expect(words.count == 1 && words[0].contains("reductionFailed"), "\(reduction.number): \(words)")
    }
    // What becomes of an older one is nobody's business.
    let failure = ReductionFailure(number: 5, chunks: [0], reason: "no")
    #expect(try worker.handle(.work(.reductionFailed(failure), session: 1)) == [])
  }
}
