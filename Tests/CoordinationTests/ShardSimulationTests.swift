import TestSupport
import Testing

@Suite("Whatever strikes memory shards, coordinator and workers at once, a run ends with the bits of a calm one")
struct ShardSimulationTests {
  /// A world with memory shards, to its end: under faults, then without, until all replicas are made and the run is done.
  private func world(
    _ seed: UInt64, replicas: Int, workers: Int? = nil, under faults: Faults? = nil,
    bug: Simulation.PlantedBug? = nil
  ) -> Simulation {
    var world = Simulation(
      seed: seed, workers: workers, shards: 1 + Int(seed % 5), replicas: replicas,
      faults: faults ?? .drawnWithShards(from: seed), bug: bug)
    world.run(toStep: world.lastStep - 1, eventsAtMost: 8_000)
    world.stopFaults()
    world.awaitReplicas(secondsAtMost: 300)
    world.run(toStep: nil, eventsAtMost: 60_000)
    return world
  }

  @Test(arguments: Seeds.chosen(orElse: 0..<60), [1, 2, 3])
  func faultsChangeNoBits(seed: UInt64, replicas: Int) {
    let world = world(seed, replicas: replicas)
    #expect(world.broken == nil && world.unfinished == nil, "\(replicas) replicas: \(world.replay)")
    let isRight = world.isRight
    #expect(isRight, "\(replicas) replicas: \(world.replay)")
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func aCalmRunHasTheSameBitsWithShards(seed: UInt64) {
    let world = world(seed, replicas: 1 + Int(seed % 3), under: Faults.none)
    let isRight = world.isRight
    #expect(isRight && world.broken == nil, "\(world.replay)")
  }

  /// A shard's disk is lost while the coordinator's clock stands still, set back again and again: it cannot know for long.
  @Test func whoseClockStandsStillMayCountOnWhatIsGone() {
    let world = world(70_489, replicas: 3)
    let isRight = world.isRight
    #expect(world.broken == nil && isRight, "\(world.replay)")
    #expect(world.seen["jumps", default: 0] > 3 && world.seen["lostDisks", default: 0] > 0, "\(world.seen)")
  }

  /// One has rows from before a resume in all its places, and the run has not come to them again.
  @Test func whatIsLeftFromBeforeAResumeGivesWay() {
    let world = world(70_674, replicas: 3)
    let isRight = world.isRight
    #expect(world.broken == nil && isRight, "\(world.replay)")
  }

  @Test func theSameSeedGivesTheSameEvents() {
    let (first, second) = (world(42, replicas: 2), world(42, replicas: 2))
    #expect(first.time == second.time && first.events == second.events && first.seen == second.seen)
  }

  /// A world in which nothing happens shows nothing.
  @Test func everyKindOfTroubleHappens() {
    var sum: [String: Int] = [:]
    for seed in 0..<100 as Range<UInt64> {
      var world = Simulation(
        seed: seed, shards: 1 + Int(seed % 5), replicas: 1 + Int(seed % 3), faults: .drawnWithShards(from: seed))
      world.run(toStep: nil, eventsAtMost: 8_000)
      for (kind, count) in world.seen { sum[kind, default: 0] += count }
    }
    for kind in [
      "shardCrashes", "shardPowerCuts", "shardStops", "shardPartitions", "shardsFull", "lostDisks", "damages",
      "additions", "drained", "fetches", "copies", "failedCopies", "tornCopies", "lateCopies", "moves", "removals",
      "releases", "waits", "failedProbes", "lateAssignments", "failedLedgers", "tornExtentWork", "olderCheckpoints",
      "losses", "notJoined", "crashes", "powerCuts", "lostLocks", "accusations", "stops",
    ] {
      #expect(sum[kind, default: 0] >= 5, "\(kind): \(sum)")
    }
  }

  /// Extents of what does not count are on shards when the run goes back.
  @Test func liarsAreFoundAndTheRunGoesBackWithItsShards() {
    var goingBack = 0
    for seed in Seeds.chosen(orElse: 0..<40) {
      var faults = Faults.drawnWithShards(from: seed)
      (faults.auditRate, faults.liesEvery, faults.saysNotFiniteEvery) = (0.3, 3, 0)
      let world = world(seed, replicas: 2, workers: 4, under: faults)
      #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
      let isRight = world.isRight
      if world.found == world.liars { #expect(isRight, "\(world.replay)") }
      goingBack += world.seen["rollbacks"] == nil ? 0 : 1
    }
    #expect(goingBack > 10 || Seeds.chosen(orElse: 0..<40).count < 40, "\(goingBack) went back")
  }

  // MARK: Mistakes that must be found, to show that the alarm rings

  private func found(_ bug: Simulation.PlantedBug, under faults: Faults) -> some Sequence<String> {
    // No more than are looked at.
    (0..<60 as Range<UInt64>).lazy.compactMap { world($0, replicas: 1, under: faults, bug: bug).broken }
  }

  @Test func aFileReleasedBeforeTheLedgerIsDurableIsFound() {
    var faults = Faults.none
    faults.coordinatorCrash = 0.2
    #expect(found(.reportsLedgersEarly, under: faults).contains { $0.contains("is on no disk that the ledger names") })
  }

  @Test func anExtentThatLeavesWithADrainedShardBeforeAnotherHasItIsFound() {
    var faults = Faults.none
    faults.drain = 0.3
    #expect(found(.reportsCopiesEarly, under: faults).contains { $0.contains("is on no disk") })
  }

  @Test func aShardThatHeedsOvertakenAssignmentsIsFound() {
    var faults = Faults.none
    (faults.drain, faults.shardAddition, faults.lateness, faults.duplication) = (0.3, 0.2, 0.5, 0.5)
    faults.longestDelay = 30 * Simulation.second
    #expect(found(.heedsOvertakenAssignments, under: faults).contains { $0.contains("which counts for it") })
  }

  @Test func aShardThatForgetsWhomItFollowedIsFound() {
    var faults = Faults.none
    (faults.lostLock, faults.locksNothing, faults.shardCrash) = (0.3, true, 0.4)
    #expect(found(.forgetsWhomItFollowed, under: faults).contains { $0.contains(" joins incarnation ") })
  }

  @Test func aCoordinatorThatLetsGoOfExtentsWithoutItsLockIsFound() {
    var faults = Faults.none
    faults.lostLock = 0.3
    #expect(found(.ignoresLostLocks, under: faults).contains { $0.contains("without its lock") })
  }
}
