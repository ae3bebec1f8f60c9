import Testing

/// Worlds of many hosts, whose steps are reduced wherever they can be.
@Suite(
  "Whoever keeps gradients or adds them up may die, hang, lie or be cut off, and a run ends with the bits of a calm one"
)
struct ReductionSimulationTests {
  private func world(
    _ seed: UInt64, workers: Int = 6, faults: Faults, bug: Simulation.PlantedBug? = nil
  ) -> Simulation {
    var world = Simulation(seed: seed, workers: workers, exchanges: true, faults: faults, bug: bug)
    world.runToTheEnd(withFaultsFor: 8_000)
    return world
  }

  @Test(arguments: Seeds.chosen(orElse: 0..<150))
  func faultsChangeNoBitsOfSums(seed: UInt64) {
    let world = world(seed, workers: 3 + Int(seed % 6), faults: .drawn(from: seed))
    #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
    let isRight = world.isRight
    #expect(isRight, "\(world.replay)")
  }

  /// A world in which nothing is added up shows nothing.
  @Test func everyKindOfTroubleWithSumsHappens() {
    var sum: [String: Int] = [:]
    for seed in 0..<40 as Range<UInt64> {
      for (kind, count) in world(seed, faults: .drawn(from: seed)).seen { sum[kind, default: 0] += count }
    }
    for kind in [
      "deals", "sums", "forgottenResults", "lostGradients", "savedGradients", "sumsTakenOver", "failedReductions",
      "ownReductions",
    ] {
      #expect(sum[kind, default: 0] >= 5, "\(kind): \(sum)")
    }
  }

  /// All workers but the first compute and add up wrongly now and then, under all other faults.
  @Test(arguments: Seeds.chosen(orElse: 0..<50))
  func atRateOneNoWrongSumEverCounts(seed: UInt64) {
    var faults = Faults.drawn(from: seed)
    (faults.auditRate, faults.liesEvery, faults.saysNotFiniteEvery) = (1, 5, 0)
    let world = world(seed, faults: faults)
    #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
    let isRight = world.isRight
    #expect(isRight, "\(world.replay)")
  }

  @Test func inACalmWorldNothingIsLostAndNobodyIsReplaced() {
    for seed in 0..<20 as Range<UInt64> {
      let world = world(seed, faults: .none)
      #expect(world.broken == nil && world.unfinished == nil, "\(world.replay)")
      let seen = ["lostGradients", "sumsTakenOver", "undelivered"].map { world.seen[$0, default: 0] }
      #expect(seen == [0, 0, 0], "\(world.replay): \(seen)")
    }
  }

  // MARK: Mistakes that must be found

  @Test func aSumThatCountsForTwoDealsIsFound() {
    var faults = Faults.none
    (faults.workerCrash, faults.duplication) = (0.1, 0.3)
    (faults.lateness, faults.longestDelay) = (0.3, 2 * Simulation.second)
    let found = (0..<60 as Range<UInt64>).lazy.compactMap { world($0, faults: faults, bug: .addsSumsOfTwoDeals).broken }
    #expect(found.contains { $0.contains("than a calm run's") })
  }

  @Test func aGradientThatIsLetGoOfBeforeItsSumIsFound() {
    let lost = (0..<10 as Range<UInt64>).lazy.map {
      world($0, faults: .none, bug: .letsGoOfGradientsBeforeTheirSum).seen["lostGradients", default: 0]
    }
    #expect(lost.contains { $0 > 0 })
  }
}
