import Foundation
import Testing

/// MASSL_SEED=123 replays one world; MASSL_SEEDS=20000 tries so many, from MASSL_SEED_FIRST on.
enum Seeds {
  static func chosen(orElse seeds: Range<UInt64>) -> [UInt64] {
    let environment = ProcessInfo.processInfo.environment
    if let one = environment["MASSL_SEED"].flatMap(UInt64.init) { return [one] }
    if let count = environment["MASSL_SEEDS"].flatMap(UInt64.init) {
      let first = environment["MASSL_SEED_FIRST"].flatMap(UInt64.init) ?? 0
      return Array(first..<(first + count))
    }
    return Array(seeds)
  }
}

@Suite("Whatever is lost, doubled, delayed or killed, a run ends with the bits of a calm one")
struct SimulationTests {
  @Test(arguments: Seeds.chosen(orElse: 0..<1000))
  func faultsChangeNoBits(seed: UInt64) {
    var calm = Simulation(seed: seed, workers: 1, faults: .none)
    calm.run(toStep: nil, eventsAtMost: 20_000)
    #expect(calm.broken == nil && calm.unfinished == nil, "\(calm.replay)")

    var rough = Simulation(seed: seed, faults: .drawn(from: seed))
    rough.runToTheEnd(withFaultsFor: 6_000)
    #expect(rough.broken == nil && rough.unfinished == nil, "\(rough.replay)")
    #expect(rough.outcome != nil && rough.outcome == calm.outcome, "\(rough.replay)")
  }

  /// A world in which nothing happens shows nothing.
  @Test func everyKindOfTroubleHappens() {
    var sum: [String: Int] = [:]
    for seed in 0..<100 as Range<UInt64> {
      var world = Simulation(seed: seed, faults: .drawn(from: seed))
      world.run(toStep: nil, eventsAtMost: 6_000)
      for (kind, count) in world.seen { sum[kind, default: 0] += count }
    }
    for kind in [
      "late", "duplicates", "expired", "lost", "returned", "damaged", "refusals", "malformed", "absent",
      "failedCheckpoints", "crashes", "powerCuts", "tornWrites", "tornRows", "fullDisks", "lostFlushes", "lostLocks",
      "lostCheckpoints",
      "stops", "jumps", "rivals", "undelivered", "notFinite", "accusations", "wrong", "floods", "exchanges",
      "failedProbes",
    ] {
      #expect(sum[kind, default: 0] >= 5, "\(kind): \(sum)")
    }
  }

  @Test(arguments: [1, 2, 3, 9])
  func anyNumberOfWorkersGivesTheSameBits(workers: Int) {
    var one = Simulation(seed: 5, workers: 1, faults: .none)
    var many = Simulation(seed: 5, workers: workers, faults: .none)
    one.run(toStep: nil, eventsAtMost: 20_000)
    many.run(toStep: nil, eventsAtMost: 20_000)
    #expect(one.outcome != nil && one.outcome == many.outcome, "\(many.replay)")
  }

  @Test func theSameSeedGivesTheSameEvents() {
    var first = Simulation(seed: 42, faults: .drawn(from: 42))
    var second = Simulation(seed: 42, faults: .drawn(from: 42))
    first.run(toStep: nil, eventsAtMost: 5_000)
    second.run(toStep: nil, eventsAtMost: 5_000)
    #expect(first.time == second.time && first.events == second.events && first.step == second.step)
  }

  /// Every event of a calm run is followed by a crash, of the coordinator and of each worker in turn.
  @Test func aCrashAtAnyEventChangesNoBits() {
    func world(_ seed: UInt64) -> Simulation { Simulation(seed: seed, workers: 2, faults: .none) }
    let runs = (0..<40 as Range<UInt64>).map { seed in
      var calm = world(seed)
      calm.run(toStep: nil, eventsAtMost: 20_000)
      return calm
    }
    // The shortest ones that are not trivial.
    for calm in runs.filter({ $0.truth.tree.count >= 4 }).sorted(by: { $0.events < $1.events }).prefix(2) {
      for event in 1...calm.events {
        for victim in 0..<4 {
          var struck = world(calm.seed)
          struck.run(toStep: nil, eventsAtMost: event)
          if victim < 2 { struck.crashWorker(victim) } else { struck.crashCoordinator(losingPower: victim == 2) }
          struck.run(toStep: nil, eventsAtMost: 20_000)
          let isRight = struck.broken == nil && struck.outcome == calm.outcome
          #expect(isRight, "victim \(victim) at event \(event) of seed \(calm.seed): \(struck.replay)")
        }
      }
    }
  }

  // MARK: Evaluations

  @Test func evaluationsChangeNoBitsAndHoldUpNothing() {
    var seen: [String: Int] = [:]
    for seed in Seeds.chosen(orElse: 0..<150) {
      var world = Simulation(seed: seed, evaluates: true, faults: .drawn(from: seed))
      world.runToTheEnd(withFaultsFor: 6_000)
      #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
      let isRight = world.isRight
      #expect(isRight, "\(world.replay)")
      for (kind, count) in world.seen { seen[kind, default: 0] += count }
    }
    guard Seeds.chosen(orElse: 0..<150).count > 1 else { return }
    for kind in ["evaluations", "lateEvaluations", "evaluationsOfTheLast"] {
      #expect(seen[kind, default: 0] >= 20, "\(kind): \(seen)")
    }
  }

  @Test func evaluationsOfAnotherTeacherAreFound() {
    let found = (0..<10 as Range<UInt64>).lazy.compactMap { seed in
      var world = Simulation(seed: seed, evaluates: true, faults: .none, bug: .evaluatesAnotherTeacher)
      world.run(toStep: nil, eventsAtMost: 20_000)
      return world.broken
    }
    #expect(found.contains { $0.contains("has another teacher's figures") })
  }

  // MARK: Lost pictures

  private func losing(_ seed: UInt64, bug: Simulation.PlantedBug? = nil) -> Simulation {
    var faults = Faults.drawn(from: seed)
    faults.pictureLoss = 0.2
    // One that lost its lock computes on with all pictures, and its steps are no calm run's.
    faults.lostLock = 0
    var world = Simulation(seed: seed, faults: faults, bug: bug)
    world.runToTheEnd(withFaultsFor: 6_000)
    return world
  }

  /// Each step is compared with that of a calm run which loses the same pictures at the same steps.
  @Test func lostPicturesAreLostForAllFromAStepOn() {
    var seen: [String: Int] = [:]
    for seed in Seeds.chosen(orElse: 0..<150) {
      let world = losing(seed)
      #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
      let isRight = world.isRight
      #expect(isRight, "\(world.replay)")
      for (kind, count) in world.seen { seen[kind, default: 0] += count }
    }
    guard Seeds.chosen(orElse: 0..<150).count > 1 else { return }
    for kind in ["lostPictures", "picturesLostEarlier", "newBeginnings"] {
      #expect(seen[kind, default: 0] >= 5, "\(kind): \(seen)")
    }
  }

  @Test func lostPicturesThatAreNotStoredAreFound() {
    let found = (0..<60 as Range<UInt64>).lazy.compactMap { losing($0, bug: .forgetsLostPictures).broken }
    #expect(found.contains { $0.contains("other bits than a calm run's") })
  }

  @Test func aNewBeginningThatForgetsNothingIsFound() {
    let found = (0..<60 as Range<UInt64>).lazy.compactMap { losing($0, bug: .keepsWhatWasBeforeANewBeginning).broken }
    #expect(found.contains { $0.contains("is counted twice") })
  }

  // MARK: Liars

  /// Workers but the first lie now and then, under all other faults.
  private func withLiars(_ seed: UInt64, rate: Double, bug: Simulation.PlantedBug? = nil) -> Simulation {
    var faults = Faults.drawn(from: seed)
    faults.auditRate = rate
    faults.liesEvery = 3
    // What is not finite is no reason to go back, and its host is as gone.
    faults.saysNotFiniteEvery = 0
    var world = Simulation(seed: seed, workers: 4, faults: faults, bug: bug)
    world.runToTheEnd(withFaultsFor: 6_000)
    return world
  }

  @Test(arguments: Seeds.chosen(orElse: 0..<100))
  func atRateOneNoLieEverCounts(seed: UInt64) {
    // Each update is compared with a calm run's.
    let world = withLiars(seed, rate: 1)
    #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
    let isRight = world.isRight
    #expect(isRight, "\(world.replay)")
    #expect(world.seen["rollbacks"] == nil, "\(world.replay)")
  }

  @Test func atASmallerRateLiarsAreFoundAndTheRunGoesBack() {
    var (finding, goingBack, right) = (0, 0, 0)
    for seed in 0..<100 as Range<UInt64> {
      let world = withLiars(seed, rate: 0.3)
      #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
      let isRight = world.isRight
      // What one finds that has lost its lock is nobody's: the one that has it may not know.
      #expect(world.quarantined == world.found, "\(world.replay)")
      if world.found == world.liars {
        finding += 1
        #expect(isRight, "\(world.replay)")
      }
      goingBack += world.seen["rollbacks"] == nil ? 0 : 1
      right += isRight ? 1 : 0
    }
    // Whoever lies in a run of a dozen steps may get away with it.
    #expect(
      finding > 50 && goingBack > 50 && right > 60, "\(finding) found all, \(goingBack) went back, \(right) right")
  }

  @Test func aRunThatCannotFinishSaysWhatIsPendingAndHowToSeeItAgain() {
    var deserted = Simulation(seed: 3, workers: 0, faults: .none)
    deserted.run(toStep: nil, eventsAtMost: 2_000)
    #expect(deserted.unfinished?.contains("pending: ") == true && deserted.unfinished?.contains("step: 0") == true)
    let command = "MASSL_SEED=3 swift test -c release --disable-testable-imports --filter SimulationTests: pending"
    #expect(deserted.replay.hasPrefix(command), "\(deserted.replay)")
  }

  // MARK: Peers that break

  /// Two workers of a host and one of another say "not finite" whatever they compute. No fault besides.
  @Test func whoSaysNotFiniteEndsNoRun() {
    var finding = 0
    for seed in Seeds.chosen(orElse: 0..<50) {
      var faults = Faults.none
      faults.saysNotFiniteEvery = 1
      var world = Simulation(seed: seed, workers: 4, faults: faults)
      world.run(toStep: nil, eventsAtMost: 40_000)
      #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
      let isRight = world.isRight
      #expect(isRight, "\(world.replay)")
      finding += world.found.contains("host 1") ? 1 : 0
    }
    // In a step of one slice not everybody comes to speak.
    #expect(finding > 30, "\(finding) found")
  }

  /// Seconds that a run of one quick worker takes beside so many that announce and never push.
  private func seconds(besides count: Int, seed: UInt64) -> (steps: Int, seconds: Double) {
    var faults = Faults.none
    faults.neverPushing = count
    var world = Simulation(seed: seed, workers: 1 + count, faults: faults)
    world.workers[0].pace = Simulation.second / 100
    world.run(toStep: nil, eventsAtMost: 40_000)
    #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
    let isRight = world.isRight
    #expect(isRight, "\(world.replay)")
    return (world.lastStep, Double(world.time) / 1e9)
  }

  @Test(arguments: [1, 4, 12])
  func whoNeverPushesHoldsUpNobodyForLong(count: Int) {
    for seed in 0..<10 as Range<UInt64> {
      let (alone, beside) = (seconds(besides: 0, seed: seed), seconds(besides: count, seed: seed))
      // Each once for a stall.
      let most = alone.seconds * 2 + 3 * Double(count)
      #expect(
        beside.seconds <= most, "seed \(seed), \(alone.steps) steps: \(alone.seconds) s, then \(beside.seconds) s")
    }
  }

  // MARK: Mistakes that must be found, to show that the alarm rings

  private func found(_ bug: Simulation.PlantedBug, under faults: Faults, workers: Int? = nil) -> some Sequence<String> {
    // No more than are looked at.
    (0..<60 as Range<UInt64>).lazy.compactMap { seed in
      var world = Simulation(seed: seed, workers: workers, faults: faults, bug: bug)
      world.run(toStep: nil, eventsAtMost: 20_000)
      return world.broken
    }
  }

  @Test func aPushThatCountsTwiceIsFound() {
    var faults = Faults.none
    faults.duplication = 0.3
    #expect(found(.countsDuplicatePushes, under: faults).contains { $0.contains("counted twice") })
  }

  @Test func aCheckpointThatIsReportedTooEarlyIsFound() {
    var faults = Faults.none
    faults.coordinatorCrash = 0.3
    #expect(found(.reportsCheckpointsEarly, under: faults).contains { $0.contains("was durable") })
  }

  @Test func aCheckpointThatClaimsAStepBeforeItsUpdateIsFound() {
    let found = found(.claimsStepsBeforeTheirUpdate, under: .none)
    #expect(found.contains { $0.contains("has other bits than a calm run's") })
  }

  @Test func aResultOfAnOlderIncarnationThatCountsIsFound() {
    var faults = Faults.none
    faults.coordinatorCrash = 0.3
    faults.lateness = 0.5
    faults.longestDelay = 8 * Simulation.second
    let found = found(.takesResultsOfOlderIncarnations, under: faults)
    #expect(found.contains { $0.contains("counts in incarnation") })
  }

  @Test func aWorkerThatHeedsOlderIncarnationsIsFound() {
    var faults = Faults.none
    faults.coordinatorCrash = 0.3
    faults.lateness = 0.5
    faults.longestDelay = 8 * Simulation.second
    let found = found(.heedsOlderIncarnations, under: faults)
    #expect(found.contains { $0.contains("counts in incarnation") })
  }

  @Test func aSourceOfWeightsThatNeverAnsweredIsFound() {
    #expect(found(.takesSilenceForAnAnswer, under: .none, workers: 5).contains { $0.contains("never answered") })
  }

  @Test func aManifestThatIsPublishedBeforeItsRowsIsFound() {
    var faults = Faults.none
    faults.coordinatorCrash = 0.3
    faults.powerCut = 1
    #expect(found(.publishesManifestsBeforeTheirRows, under: faults).contains { $0.contains("memory/rows-") })
  }

  @Test func aRowThatIsDroppedThoughAKeptCheckpointNeedsItIsFound() {
    let found = found(.prunesRowsOfKeptCheckpoints, under: .none)
    #expect(found.contains { $0.contains("memory/rows-") && $0.contains("is missing") })
  }

  @Test func aCoordinatorThatWritesWithoutItsLockIsFound() {
    var faults = Faults.none
    faults.lostLock = 0.3
    #expect(found(.ignoresLostLocks, under: faults).contains { $0.contains("without its lock") })
  }

  @Test func aRunThatStopsForWhatIsFiniteIsFound() {
    var faults = Faults.none
    faults.saysNotFiniteEvery = 2
    let unfinished = (0..<20 as Range<UInt64>).compactMap { seed in
      var world = Simulation(seed: seed, workers: 4, faults: faults, bug: .bearsOutWhatIsNotFinite)
      world.run(toStep: nil, eventsAtMost: 20_000)
      return world.unfinished
    }
    #expect(unfinished.contains { $0.hasPrefix("stopped: ") && $0.contains("is not finite") })
  }

  @Test func aRollbackThatIsForgottenIsFound() {
    let wrong = (0..<60 as Range<UInt64>).map { withLiars($0, rate: 0.3, bug: .forgetsToRollBack) }.filter {
      $0.broken != nil || $0.found == $0.liars && !$0.isRight
    }
    #expect(!wrong.isEmpty)
  }
}
