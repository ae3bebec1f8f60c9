import Coordination
import TestSupport
import Testing

@Suite("Whatever strikes memory shards, no row is lost and the bits are those of a run without any")
struct ShardSimulationTests {
  @Test(arguments: Seeds.chosen(orElse: 0..<300), [1, 2, 3])
  func faultsChangeNoBits(seed: UInt64, replicas: Int) {
    var calm = ShardSimulation(seed: seed, replicas: replicas, shards: 0, faults: .none)
    calm.run(eventsAtMost: 20_000)
    #expect(calm.broken == nil && calm.unfinished == nil, "\(calm.replay)")

    var rough = ShardSimulation(seed: seed, replicas: replicas, shards: 1 + Int(seed % 5), faults: .drawn(from: seed))
    rough.run(toStep: rough.lastStep - 1, eventsAtMost: 8_000)
    rough.stopFaults()
    rough.run(eventsAtMost: 40_000)
    #expect(rough.broken == nil && rough.unfinished == nil, "\(rough.replay)")
    #expect(rough.finalVersion != nil && rough.finalVersion == calm.finalVersion, "\(rough.replay)")
  }

  /// A world in which nothing happens shows nothing.
  @Test func everyKindOfTroubleHappens() {
    var sum: [String: Int] = [:]
    for seed in 0..<100 as Range<UInt64> {
      var world = ShardSimulation(
        seed: seed, replicas: 1 + Int(seed % 3), shards: 1 + Int(seed % 5), faults: .drawn(from: seed))
      world.run(eventsAtMost: 8_000)
      for (kind, count) in world.seen { sum[kind, default: 0] += count }
    }
    for kind in [
      "shardCrashes", "crashes", "partitions", "losses", "lostDisks", "damages", "additions", "drained", "fetches",
      "copies", "failedCopies", "removals", "releases", "waits", "olderCheckpoints", "failedProbes", "moves",
      "fullDisks", "lateAssignments",
    ] {
      #expect(sum[kind, default: 0] > 5, "\(kind): \(sum)")
    }
  }

  // MARK: Mistakes that must be found, to show that the alarm rings

  private func found(
    _ bug: ShardSimulation.PlantedBug, under faults: ShardSimulation.Faults, replicas: Int = 1
  ) -> some Sequence<String> {
    // No more than are looked at.
    (0..<60 as Range<UInt64>).lazy.compactMap { seed in
      var world = ShardSimulation(seed: seed, replicas: replicas, shards: 3, faults: faults, bug: bug)
      world.run(eventsAtMost: 6_000)
      return world.broken
    }
  }

  @Test func aFileReleasedBeforeTheLedgerIsDurableIsFound() {
    var faults = ShardSimulation.Faults.none
    faults.coordinatorCrash = 0.2
    #expect(found(.reportsLedgersEarly, under: faults).contains { $0.contains("the ledger names nobody") })
  }

  @Test func anExtentThatLeavesWithADrainedShardBeforeAnotherHasItIsFound() {
    var faults = ShardSimulation.Faults.none
    faults.drain = 0.3
    #expect(found(.reportsCopiesEarly, under: faults).contains { $0.contains("is on no disk") })
  }

  @Test func aShardThatHeedsOvertakenAssignmentsIsFound() {
    var faults = ShardSimulation.Faults.none
    (faults.drain, faults.addition, faults.lateness, faults.duplication) = (0.3, 0.2, 0.5, 0.5)
    faults.longestDelay = 30 * ShardSimulation.second
    #expect(found(.heedsOvertakenAssignments, under: faults).contains { $0.contains("which counts for it") })
  }
}
