import Coordination
import Messages
import Numerics
import Testing

@Suite("Now and then one worker evaluates the newest teacher, and nothing depends on it")
struct EvaluationTests {
  private static let figures = Evaluated.Figures(
    pictures: 3, rankMe: 7.5, lidar: 3, alphaReQ: 1.1, right: 1, asked: 2)

  /// Two workers that can, on a run of one slice a step.
  private func start(
    from step: Int = 0, lastStep: Int = 10, newest: Int = 0, every: Int = 2, able: [Bool] = [true, true],
    lost: [LostPicture] = []
  ) throws -> Script {
    var script = Script(
      slices: 1, lastStep: lastStep, from: step, durableStep: step == 0 ? nil : step, lost: lost,
      evaluation: EvaluationSettings(
        everySteps: every, pictures: [1, 5, 9], classes: [0, nil, 1], width: 16, newest: newest))
    for (index, evaluates) in able.enumerated() {
      try script.say(Script.hello(name: "w\(index + 1)", evaluates: evaluates), UInt64(index + 1))
    }
    return script
  }

  private func asked(_ script: Script) -> [(evaluate: Evaluate, worker: UInt64)] {
    script.effects.compactMap {
      if case .send(.evaluate(let evaluate), let peer) = $0 { (evaluate, peer.rawValue) } else { nil }
    }
  }

  private func evaluated(_ script: Script) -> [Evaluation] {
    script.effects.compactMap { if case .evaluated(let evaluation) = $0 { evaluation } else { nil } }
  }

  private func lines(_ script: Script) -> [String] {
    script.effects.compactMap { if case .log(_, let text) = $0 { text } else { nil } }
  }

  /// Worker 1 computes the step's one slice.
  private func passStep(_ script: inout Script, holding held: [LeaseID] = []) throws {
    let step = script.coordinator.step
    let lease = try #require(try script.ready(1, idle: 1, held: held).first)
    try script.complete(lease, by: 1)
    #expect(script.effects.contains(.startUpdate(step: step)))
    try script.handle(.updateFinished(Script.version(step + 1)))
  }

  /// Steps 0 and 1 are done, and worker 1 has step 2, whose teacher is due.
  private func due(lastStep: Int = 10, able: [Bool] = [true, true]) throws -> (Script, Evaluate, Lease) {
    var script = try start(lastStep: lastStep, able: able)
    try passStep(&script)
    try passStep(&script)
    #expect(asked(script).isEmpty)
    let lease = try #require(try script.ready(1, idle: 1).first)
    let (evaluate, worker) = try #require(asked(script).first)
    #expect(worker == 1 && asked(script).count == 1)
    return (script, evaluate, lease)
  }

  private func answer(_ evaluate: Evaluate, _ figures: Evaluated.Figures = figures) -> WorkerMessage {
    .evaluated(Evaluated(lease: evaluate.lease, figures: figures))
  }

  // MARK: Asking

  @Test func whoWorksOnTheStepIsAskedOnceWithTheWholeSample() throws {
    var (script, evaluate, lease) = try due()
    let version = Script.version(2)
    #expect(
      evaluate
        == Evaluate(
          lease: evaluate.lease, step: 2, teacher: version.teacher, pictures: [1, 5, 9], classes: [0, nil, 1]))
    #expect(evaluate.lease > lease.lease)
    // It goes on with its leases, and the evaluation with later steps.
    for _ in 0..<3 {
      try script.ready(1, idle: 0, held: [lease.lease, evaluate.lease])
      #expect(asked(script).isEmpty)
    }
    try script.complete(lease, by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    try passStep(&script, holding: [evaluate.lease])
    try script.say(answer(evaluate), 1, after: 1500)
    let found = try #require(evaluated(script).first)
    #expect(found.step == 2 && found.figures == Self.figures && found.worker.rawValue == 1)
    #expect(found.duration == .milliseconds(1500))
    #expect(script.effects.contains(.send(.cancel(evaluate.lease), to: PeerID(rawValue: 1))))
    // Said again, for the cancel may be lost: it counts once.
    try script.say(answer(evaluate), 1)
    #expect(evaluated(script).isEmpty)
    #expect(script.effects.contains(.send(.cancel(evaluate.lease), to: PeerID(rawValue: 1))))
  }

  @Test func nobodyIsAskedWithoutTheKeyOrTheAbility() throws {
    var plain = Script(slices: 1)
    try plain.say(Script.hello(evaluates: true), 1)
    for _ in 0..<4 {
      try passStep(&plain)
      #expect(asked(plain).isEmpty)
    }
    // Whoever cannot is passed over, and the step is left out once its weights are gone.
    var script = try start(able: [false, true])
    for _ in 0..<2 { try passStep(&script) }
    try script.ready(1, idle: 1)
    #expect(asked(script).isEmpty)
    try script.complete(try #require(script.leases(to: 1).first), by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    #expect(lines(script).contains { $0.contains("Step 2 is not evaluated: no worker that can") })
  }

  @Test func lostPicturesAreNotAskedFor() throws {
    var script = try start(lost: [LostPicture(picture: 5, step: 1)])
    for _ in 0..<2 { try passStep(&script) }
    try script.ready(1, idle: 1)
    let evaluate = try #require(asked(script).first?.evaluate)
    #expect(evaluate.pictures == [1, 9] && evaluate.classes == [0, 1])
  }

  // MARK: Losing

  @Test func anotherIsAskedWhileTheWeightsAreThere() throws {
    var (script, evaluate, _) = try due()
    // The other one works on the step too, once the first is gone.
    try script.handle(.disconnected(PeerID(rawValue: 1)))
    try script.ready(2, idle: 1)
    let again = try #require(asked(script).first)
    #expect(again.worker == 2 && again.evaluate.step == 2 && again.evaluate.lease > evaluate.lease)
    // What the first says now is late.
    try script.say(answer(evaluate), 1)
    #expect(evaluated(script).isEmpty && script.refusals.isEmpty)
    try script.say(answer(again.evaluate), 2)
    #expect(evaluated(script).map(\.step) == [2])
  }

  @Test func whoDiesInALaterStepTakesItAlong() throws {
    var (script, evaluate, lease) = try due()
    try script.complete(lease, by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    try script.handle(.disconnected(PeerID(rawValue: 1)))
    #expect(lines(script).contains { $0.contains("Step 2 is not evaluated: its worker is gone.") })
    try script.ready(2, idle: 1, after: 1000)
    #expect(asked(script).isEmpty && evaluate.step == 2)
  }

  @Test func whoDoesNotHoldItHasForgottenIt() throws {
    var (script, _, lease) = try due()
    // The question and the word may have crossed.
    try script.ready(1, idle: 0, held: [lease.lease], after: 1000)
    #expect(lines(script).isEmpty)
    try script.ready(1, idle: 0, held: [lease.lease], after: 1500)
    #expect(lines(script).contains { $0.contains("given to another worker: its worker forgot it") })
    // Not to the same one.
    try script.ready(1, idle: 0, held: [lease.lease], after: 1000)
    #expect(asked(script).isEmpty)
  }

  @Test func whoGivesItBackIsNotAskedAgain() throws {
    var (script, evaluate, _) = try due()
    try script.say(.returned(Returned(lease: evaluate.lease, reason: "no picture")), 1)
    #expect(lines(script).contains { $0.contains("given to another worker: no picture") })
    #expect(asked(script).isEmpty && script.status.counts.returned == 0)
  }

  @Test func whoTakesForEverIsGivenUp() throws {
    var (script, evaluate, lease) = try due(able: [true])
    try script.complete(lease, by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    let seconds = Int(CoordinationLimits.evaluation / .seconds(1))
    for second in 1...seconds {
      try script.ready(1, idle: 0, held: [evaluate.lease], after: 1000)
      if second < seconds { #expect(lines(script).isEmpty, "second \(second)") }
    }
    #expect(lines(script).contains { $0.contains("Step 2 is not evaluated: it takes too long.") })
    #expect(script.effects.contains(.send(.cancel(evaluate.lease), to: PeerID(rawValue: 1))))
  }

  @Test func aSlowOneLeavesOthersOut() throws {
    var (script, evaluate, lease) = try due()
    try script.complete(lease, by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    try passStep(&script, holding: [evaluate.lease])
    try passStep(&script, holding: [evaluate.lease])
    #expect(lines(script).contains { $0.contains("Step 4 is not evaluated: the evaluation of step 2 still goes on.") })
    // Of step 6 on it is free again.
    try script.say(answer(evaluate), 1)
    try passStep(&script)
    try script.ready(1, idle: 1)
    #expect(asked(script).map(\.evaluate.step) == [6])
  }

  // MARK: Lies

  @Test(arguments: [
    Evaluated.Figures(pictures: 4, rankMe: 1, lidar: 1, alphaReQ: 1, right: 0, asked: 0),
    Evaluated.Figures(pictures: 0, rankMe: 1, lidar: 1, alphaReQ: 1, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: 16.1, lidar: 1, alphaReQ: 1, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: -0.1, lidar: 1, alphaReQ: 1, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: 1, lidar: 17, alphaReQ: 1, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: 1, lidar: .nan, alphaReQ: 1, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: 1, lidar: 1, alphaReQ: -1001, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: 1, lidar: 1, alphaReQ: .infinity, right: 0, asked: 0),
    Evaluated.Figures(pictures: 3, rankMe: 1, lidar: 1, alphaReQ: 1, right: 3, asked: 2),
    Evaluated.Figures(pictures: 3, rankMe: 1, lidar: 1, alphaReQ: 1, right: 0, asked: 4),
  ])
  func whatCannotBeIsRefused(figures: Evaluated.Figures) throws {
    var (script, evaluate, _) = try due()
    try script.say(answer(evaluate, figures), 1)
    #expect(evaluated(script).isEmpty && script.refusals.map(\.reason) == [.malformed])
    try script.say(answer(evaluate), 1)
    #expect(evaluated(script).isEmpty)
  }

  @Test func anotherWorkersEvaluationIsNotItsToAnswer() throws {
    var (script, evaluate, lease) = try due()
    try script.say(answer(evaluate), 2)
    #expect(evaluated(script).isEmpty && script.refusals.map(\.reason) == [.malformed])
    // Nor is a lease of slices an evaluation.
    try script.say(.evaluated(Evaluated(lease: lease.lease, figures: Self.figures)), 1)
    #expect(evaluated(script).isEmpty && script.refusals.map(\.reason) == [.malformed])
    try script.say(answer(evaluate), 1)
    #expect(evaluated(script).map(\.step) == [2])
  }

  // MARK: Resuming

  @Test func aResumedRunEvaluatesNothingTwice() throws {
    for (newest, isDue) in [(4, false), (2, true), (0, true)] {
      var script = try start(from: 4, newest: newest)
      try script.ready(1, idle: 1)
      #expect(asked(script).map(\.evaluate.step) == (isDue ? [4] : []), "newest \(newest)")
    }
    // A step that is not due is not, whatever was done before.
    var script = try start(from: 5)
    try script.ready(1, idle: 1)
    #expect(asked(script).isEmpty)
  }

  // MARK: The end

  /// The last step, 3, is done and durable.
  private func ended(able: [Bool] = [true, true]) throws -> Script {
    var script = try start(lastStep: 3, every: 2, able: able)
    try passStep(&script)
    try passStep(&script)
    let lease = try #require(try script.ready(1, idle: 1).first)
    for (evaluate, worker) in asked(script) { try script.say(answer(evaluate), worker) }
    try script.complete(lease, by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    return script
  }

  @Test func theLastStepIsEvaluatedBeforeTheRunEnds() throws {
    var script = try ended()
    let evaluate = try #require(asked(script).first?.evaluate)
    #expect(evaluate.step == 3 && lines(script).contains { $0.hasPrefix("All steps are done. The run waits") })
    try script.handle(.checkpointFinished(step: 3, failure: nil))
    #expect(!script.effects.contains(.send(.finished, to: PeerID(rawValue: 1))))
    try script.ready(1, idle: 1, held: [evaluate.lease], after: 1000)
    try script.say(answer(evaluate), 1, after: 1000)
    #expect(evaluated(script).map(\.step) == [3])
    #expect(script.effects.contains(.send(.finished, to: PeerID(rawValue: 1))))
  }

  @Test func theLastStepTakesTheOlderOnesPlace() throws {
    var (script, evaluate, lease) = try due(lastStep: 3)
    try script.complete(lease, by: 1)
    try script.handle(.updateFinished(Script.version(3)))
    #expect(lines(script).contains { $0.contains("Step 2 is not evaluated: the last step comes first.") })
    #expect(script.effects.contains(.send(.cancel(evaluate.lease), to: PeerID(rawValue: 1))))
    #expect(asked(script).map(\.evaluate.step) == [3])
  }

  @Test func theEndDoesNotWaitForWhomItHasNot() throws {
    var script = try ended(able: [false, false])
    #expect(lines(script).contains { $0.contains("Step 3 is not evaluated: no worker is there that can.") })
    try script.handle(.checkpointFinished(step: 3, failure: nil))
    #expect(script.effects.contains(.send(.finished, to: PeerID(rawValue: 1))))
  }

  @Test func theEndAsksAnotherAndThenNobody() throws {
    var script = try ended()
    try script.handle(.checkpointFinished(step: 3, failure: nil))
    try script.ready(2, idle: 1)
    try script.handle(.disconnected(PeerID(rawValue: 1)))
    #expect(asked(script).map(\.worker) == [2])
    try script.handle(.disconnected(PeerID(rawValue: 2)))
    #expect(lines(script).contains { $0.contains("Step 3 is not evaluated: no worker is there that can.") })
    try script.handle(.tick, after: 100)
    #expect(script.status.phase == "leaving")
  }

  @Test func theEndWaitsOnlySoLong() throws {
    var script = try ended(able: [true])
    let evaluate = try #require(asked(script).first?.evaluate)
    try script.handle(.checkpointFinished(step: 3, failure: nil))
    let seconds = Int(CoordinationLimits.lastEvaluation / .seconds(1))
    for second in 1...seconds {
      try script.ready(1, idle: 1, held: [evaluate.lease], after: 1000)
      #expect(script.status.phase == (second < seconds ? "concluding" : "leaving"), "second \(second)")
    }
    #expect(lines(script).contains { $0.contains("Step 3 is not evaluated: the run ends.") })
    // It is over: whatever comes now counts no more.
    try script.say(answer(evaluate), 1)
    #expect(evaluated(script).isEmpty)
  }

  @Test func whoIsToldToLeaveWaitsForNoEvaluation() throws {
    var script = try ended()
    try script.handle(.checkpointFinished(step: 3, failure: nil))
    try script.handle(.stopRequested)
    #expect(script.status.phase == "leaving" && evaluated(script).isEmpty)
    // Nor in the middle of the run.
    var (middle, _, _) = try due()
    try middle.handle(.stopRequested)
    try middle.handle(.checkpointFinished(step: 2, failure: nil))
    #expect(middle.stops == [.requested])
  }

  @Test func aRunThatIsDoneAndStartedAgainEndsAtOnce() throws {
    let script = try start(from: 10, lastStep: 10)
    #expect(script.status.phase == "leaving")
  }
}

@Suite("A worker evaluates beside its leases")
struct WorkerEvaluationTests {
  private static func evaluate(_ number: UInt64, step: Int = 1, pictures: [Int] = [0, 99]) -> CoordinatorMessage {
    .evaluate(
      Evaluate(
        lease: LeaseID(number), step: step, teacher: WorkerScript.probe, pictures: pictures,
        classes: pictures.map { _ in nil }))
  }

  private static func progress(_ number: UInt64) -> WorkerProgress {
    .evaluated(
      Evaluated(
        lease: LeaseID(number),
        figures: Evaluated.Figures(pictures: 2, rankMe: 1, lidar: 1, alphaReQ: 1, right: 0, asked: 0)))
  }

  @Test func itIsHeldUntilItIsCancelledAndSaidAgainUntilThen() throws {
    var worker = try WorkerScript.joined()
    try worker.hear(.lease(WorkerScript.lease(1)))
    #expect(try worker.hear(Self.evaluate(2)) == ["evaluate 2"])
    // Twice is once.
    #expect(try worker.hear(Self.evaluate(2)) == [])
    #expect(try worker.handle(.tick, after: 1000) == ["ready 1 [1, 2]"])
    #expect(try worker.work(Self.progress(2)) == ["evaluated 2"])
    #expect(try worker.handle(.tick, after: 1000) == ["ready 1 [1, 2]", "evaluated 2"])
    #expect(try worker.hear(.cancel(LeaseID(2))) == ["stop evaluating"])
    #expect(try worker.handle(.tick, after: 1000) == ["ready 1 [1]"])
    // The lease went on as if nothing were.
    #expect(try worker.work(.computed(WorkerScript.finished(1))) == ["finished 1"])
  }

  @Test func aNewerOneTakesItsPlace() throws {
    var worker = try WorkerScript.joined()
    try worker.hear(Self.evaluate(2))
    #expect(try worker.hear(Self.evaluate(5)) == ["evaluate 5"])
    #expect(try worker.hear(Self.evaluate(2)) == [])
    #expect(try worker.work(Self.progress(2)) == [])
    #expect(try worker.hear(.cancel(LeaseID(2))) == [])
    #expect(try worker.work(Self.progress(5)) == ["evaluated 5"])
  }

  @Test func whatCannotBeIsGivenBack() throws {
    var worker = try WorkerScript.joined()
    // The run has 5 steps, and its last teacher is that of step 5.
    #expect(try worker.hear(Self.evaluate(2, step: 6)) == ["returned 2"])
    #expect(try worker.hear(Self.evaluate(3, pictures: [0, 100])) == ["returned 3"])
    #expect(try worker.hear(Self.evaluate(4, step: 5)) == ["evaluate 4"])
    #expect(
      try worker.work(.evaluationFailed(Returned(lease: LeaseID(4), reason: "no picture"))) == ["returned 4"])
    #expect(worker.lines == ["The teacher could not be evaluated: no picture."])
    // It keeps asking for work: one that was given back is no failure of its leases.
    #expect(try worker.handle(.tick, after: 1000) == ["ready 2 []"])
  }

  @Test func aNewSessionKnowsNothingOfIt() throws {
    var worker = try WorkerScript.joined()
    try worker.hear(Self.evaluate(2))
    #expect(try worker.hear(WorkerScript.refusal(.unknownPeer)).contains("leave"))
    #expect(try !worker.work(Self.progress(2)).contains("evaluated 2"))
  }
}
