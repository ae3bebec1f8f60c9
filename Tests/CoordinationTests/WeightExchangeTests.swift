import Coordination
import Messages
import Testing

@Suite("Workers of several hosts fetch a step's weights from each other, where that is faster")
struct WeightExchangeTests {
  private static func address(_ worker: UInt64) throws -> BulkAddress {
    BulkAddress(endpoint: try Endpoint("tcp://10.0.0.\(worker):7000"))
  }

  /// A step of eight slices that workers of these hosts are about to end, each after a payload that took `milliseconds`.
  ///
  /// The leases of the next step go out with the update's end.
  private func script(
    _ hosts: [String] = ["a", "b", "c"], exchanges: Bool? = true, milliseconds: UInt64 = 50,
    unreached: Set<UInt64> = []
  ) throws -> Script {
    var script = Script(slices: 8, exchanges: exchanges)
    let joined = try hosts.enumerated().map { index, host in
      try #require(try script.join(UInt64(index + 1), on: host, at: Self.address(UInt64(index + 1))).first)
    }
    var effects: [Effect] = []
    for (index, lease) in joined.enumerated() {
      effects += try script.say(.finished(Script.result(of: lease)), UInt64(index + 1))
      effects += try script.handle(.pushArrived(lease.lease, .whole), after: milliseconds)
    }
    try answerProbes(&script, unreached, effects)
    return script
  }

  private func answerProbes(_ script: inout Script, _ unreached: Set<UInt64>, _ effects: [Effect]) throws {
    for case .probe(let address) in effects {
      let isThere = try !unreached.contains { address == (try Self.address($0)) }
      try script.handle(.probed(address, failure: isThere ? nil : "no answer"))
    }
  }

  /// Computes what is left of the step with worker 1, has everybody idle, and updates.
  private func finishStep(_ script: inout Script, workers: Int, isHashed: Bool) throws -> [Effect] {
    let step = script.coordinator.step
    while script.coordinator.step == step {
      guard let lease = try script.ready(1, idle: 1).first else { break }
      try script.complete(lease, by: 1, after: 1)
    }
    for worker in 1...UInt64(workers) { try script.ready(worker, idle: 1) }
    return try script.handle(.updateFinished(Script.version(step + 1), isHashed: isHashed))
  }

  /// Every lease is computed by its worker, and its payload comes.
  private func completeAll(_ script: inout Script, _ effects: [Effect]) throws {
    for case .send(.lease(let lease), let peer) in effects {
      try script.complete(lease, by: peer.rawValue, after: 1)
    }
  }

  private func leases(_ effects: [Effect]) -> [Lease] {
    effects.compactMap { if case .send(.lease(let lease), _) = $0 { lease } else { nil } }
  }

  private func sources(_ effects: [Effect]) -> [BulkAddress]? {
    effects.compactMap { if case .nameWeightSources(let sources, _) = $0 { sources } else { nil } }.first
  }

  @Test func weightsAreHashedFirstAndSourcesNamedBeforeTheLeasesOfTheNextStep() throws {
    var script = try script()
    let first = try finishStep(&script, workers: 3, isHashed: false)
    #expect(first.contains(.hashWeights(true)) && sources(first) == nil)
    #expect(leases(first).count == 3 && leases(first).allSatisfy { !$0.exchangesWeights })
    try completeAll(&script, first)
    let second = try finishStep(&script, workers: 3, isHashed: true)
    #expect(try sources(second) == (1...3).map { try Self.address($0) })
    #expect(leases(second).count == 3 && leases(second).allSatisfy(\.exchangesWeights))
    let named = try #require(second.firstIndex { if case .nameWeightSources = $0 { true } else { false } })
    let leased = try #require(second.firstIndex { if case .send(.lease, _) = $0 { true } else { false } })
    #expect(named < leased, "who has a lease may ask at once")
    #expect(script.status.weightSources == 3)
    // Who joins later fetches from them too.
    #expect(try script.join(4, on: "d").map(\.exchangesWeights) == [true])
  }

  @Test func oneWorkerAHostGivesAndNoneThatIsNotReachedOrOnProbation() throws {
    var script = try script(["a", "a", "b", "c", "d"], unreached: [4])
    _ = try finishStep(&script, workers: 5, isHashed: false)
    let leased = script.effects
    let announced = try #require(script.leases(to: 5).first)
    try completeAll(&script, leased.filter { if case .send(_, PeerID(rawValue: 5)) = $0 { false } else { true } })
    // Worker 5 announces, and does not deliver.
    try script.say(.finished(Script.result(of: announced)), 5)
    try script.handle(.pushArrived(announced.lease, .damaged))
    let effects = try finishStep(&script, workers: 5, isHashed: true)
    #expect(try sources(effects) == [Self.address(1), Self.address(3)])
  }

  @Test func noMoreSourcesAreNamedThanAnybodyHasDescriptorsFor() throws {
    let hosts = CoordinationLimits.weightSources + 6
    var script = Script(slices: hosts, exchanges: true)
    var effects: [Effect] = []
    for worker in 1...hosts {
      let address = BulkAddress(endpoint: try Endpoint("tcp://10.0.1.\(worker):7000"))
      try script.say(Script.hello(host: "host\(worker)", address: address), UInt64(worker))
    }
    let leased = try (1...UInt64(hosts)).map { try #require(try script.ready($0, idle: 1).first) }
    for (index, lease) in leased.enumerated() { effects += try script.complete(lease, by: UInt64(index + 1)) }
    try answerProbes(&script, [], effects)
    let named = sources(try finishStep(&script, workers: hosts, isHashed: true))
    #expect(named?.count == CoordinationLimits.weightSources)
  }

  @Test func whoIsNotReachedIsNamedOnceAndAskedAgain() throws {
    var script = Script(slices: 8, exchanges: true)
    var asked = 0
    var named: [String] = []
    func refuse(_ effects: [Effect]) throws {
      for case .probe(let address) in effects {
        asked += address == (try Self.address(2)) ? 1 : 0
        let effects = try script.handle(.probed(address, failure: "no answer"))
        named += effects.compactMap { if case .log(.warning, let text) = $0 { text } else { nil } }
      }
    }
    for worker in [1, 2] as [UInt64] {
      let lease = try #require(try script.join(worker, on: "host\(worker)", at: Self.address(worker)).first)
      try refuse(try script.complete(lease, by: worker))
    }
    for round in 0..<80 {
      try script.ready(UInt64(1 + round % 2), idle: 0, after: 500)
      try refuse(script.effects)
    }
    let ofTwo = named.filter { $0.contains("tcp://10.0.0.2:7000: no answer") }
    #expect(asked > 3 && asked < 12, "\(asked)")
    #expect(ofTwo.count == 1 && named.count == 2, "\(named)")
    #expect(script.status.workers.map(\.address) == ["tcp://10.0.0.1:7000", "tcp://10.0.0.2:7000"])
    #expect(script.status.workers.allSatisfy { !$0.isReached })
  }

  @Test func nobodyIsAskedBeforeItDelivered() throws {
    var script = Script(slices: 8, exchanges: true)
    for worker in [1, 2, 3] as [UInt64] {
      try script.join(worker, on: "host\(worker)", at: Self.address(worker))
      #expect(!script.effects.contains { if case .probe = $0 { true } else { false } })
    }
  }

  @Test(arguments: [["a", "a", "a"], ["a"]]) func oneHostExchangesNothing(hosts: [String]) throws {
    var script = try script(hosts)
    for _ in 0..<2 {
      let effects = try finishStep(&script, workers: hosts.count, isHashed: true)
      #expect(sources(effects) == nil && !effects.contains(.hashWeights(true)))
      #expect(leases(effects).allSatisfy { !$0.exchangesWeights })
      try completeAll(&script, effects)
    }
  }

  @Test(arguments: [(50, true), (0, false)] as [(UInt64, Bool)])
  func byItselfItGoesByHowLongPayloadsTake(milliseconds: UInt64, pays: Bool) throws {
    var script = try script(exchanges: nil, milliseconds: milliseconds)
    let effects = try finishStep(&script, workers: 3, isHashed: true)
    #expect(effects.contains(.hashWeights(true)) == pays && (sources(effects) != nil) == pays)
  }

  @Test func neverIsNever() throws {
    var script = try script(exchanges: false)
    #expect(sources(try finishStep(&script, workers: 3, isHashed: true)) == nil)
    #expect(script.status.workers.allSatisfy { !$0.isReached }, "nobody was asked")
  }

  @Test func itEndsWithTheHosts() throws {
    var script = try script(["a", "b"])
    try completeAll(&script, try finishStep(&script, workers: 2, isHashed: false))
    try script.say(.goodbye, 2)
    let effects = try finishStep(&script, workers: 1, isHashed: true)
    #expect(sources(effects) == nil && effects.contains(.hashWeights(false)))
  }

  /// Two slices a step, for three workers.
  @Test func whoGetsNoLeaseIsNotNamed() throws {
    var script = Script(slices: 2, exchanges: true)
    func say(_ effects: [Effect]) throws {
      try answerProbes(&script, [], effects)
      for case .send(.lease(let lease), let peer) in effects {
        try say(try script.say(.finished(Script.result(of: lease)), peer.rawValue))
        try say(try script.handle(.pushArrived(lease.lease, .whole), after: 50))
      }
    }
    /// These ask for work, and the next step begins.
    func next(_ workers: [UInt64]) throws -> [Effect] {
      for worker in workers { try say(try script.say(.ready(Ready(idleThreads: 1, held: [])), worker)) }
      return try script.handle(.updateFinished(Script.version(script.coordinator.step + 1), isHashed: true))
    }
    for worker in 1...3 as ClosedRange<UInt64> {
      try say(try script.say(Script.hello(host: "host\(worker)", address: Self.address(worker)), worker))
    }
    // In the first step the first two deliver, in the second the last two.
    for worker in [1, 2] as [UInt64] { try say(try script.say(.ready(Ready(idleThreads: 1, held: [])), worker)) }
    try say(try next([2, 3]))
    #expect(script.status.workers.map(\.isReached) == [true, true, true])
    let effects = try next([1, 2, 3])
    let leased = effects.compactMap { if case .send(.lease, let peer) = $0 { peer.rawValue } else { nil } }
    #expect(leases(effects).count == 2 && leases(effects).allSatisfy(\.exchangesWeights))
    let expected = try leased.map { try Self.address($0) }
    #expect(sources(effects) == expected)
  }
}
