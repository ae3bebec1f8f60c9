import Coordination
import Messages
import Testing

@Suite("Who announced the same gradient as another has it too, and nothing is computed again while anybody has it")
struct SecondHolderTests {
  /// At rate 1, all slices of a step in: each lease was answered by two hosts.
  private func audited(hosts: Int = 3, room: Int = 4) throws -> ReductionScript {
    var script = try ReductionScript(hosts: hosts, audits: AuditSettings(rate: 1), room: room)
    try script.finishLeases()
    return script
  }

  /// By gradient, the first holder first.
  private func hostsOfHolders(_ script: ReductionScript) -> [[String]] {
    script.gradients.map { $0.holders.map(\.endpoint.host) }
  }

  /// "10.0.0.3" is the third.
  private func worker(at host: String?) throws -> UInt64 {
    try #require(host?.split(separator: ".").last.flatMap { UInt64($0) })
  }

  @Test func reducersAreToldOfAllHolders() throws {
    let script = try audited()
    #expect(script.phase == "reducing")
    for holders in hostsOfHolders(script) { #expect(holders.count >= 2 && Set(holders).count == holders.count) }
  }

  enum Loss: String, CaseIterable, Sendable { case disconnects, leaves, forgets, isSilent }

  private func lose(_ worker: UInt64, _ loss: Loss, _ script: inout ReductionScript) throws -> [Effect] {
    switch loss {
    case .disconnects: return try script.handle(.disconnected(PeerID(rawValue: worker)))
    case .leaves: return try script.tell(.goodbye, worker)
    case .forgets:
      script.held[worker] = []
      return try script.ready(worker, idle: 0)
    case .isSilent:
      return try (0..<10).flatMap { _ in
        try [1, 2, 3].filter { $0 != worker }.flatMap { try script.ready($0, idle: 0, after: 150) }
      }
    }
  }

  @Test(arguments: Loss.allCases) func theSecondTakesThePlaceOfTheFirst(loss: Loss) throws {
    var script = try audited()
    let first = hostsOfHolders(script).count { $0.first == "10.0.0.1" }
    #expect(first > 0)
    let effects = try lose(1, loss, &script)
    #expect(!effects.contains(.abandonSums) && script.phase == "reducing")
    #expect(script.script.status.counts.lostGradients == 0 && script.script.status.counts.savedGradients == first)
    #expect(try script.sumAll().contains(.startUpdate(step: 1)))
  }

  @Test func withTheLastHolderItIsLost() throws {
    var script = try audited()
    let node = try #require(script.gradients.first)
    for holder in node.holders {
      #expect(script.phase == "reducing")
      _ = try lose(worker(at: holder.endpoint.host), .leaves, &script)
    }
    #expect(script.phase == "computing" && script.script.status.counts.lostGradients > 0)
  }

  @Test func whatNeitherGivesTheCoordinatorIsComputedAgain() throws {
    var script = try audited()
    let node = try #require(script.gradients.first)
    let lost = UnavailableGradient(deal: script.deal, slices: node.slices, problem: .notGiven(reason: "no answer"))
    let effects = try script.handle(.gradientUnavailable(lost))
    #expect(effects.contains(.forgetResult(node.slices)) && script.script.status.counts.savedGradients == 0)
    // Nobody keeps it in vain.
    let cancels = effects.count { if case .send(.cancel, _) = $0 { true } else { false } }
    #expect(cancels == node.holders.count)
  }

  @Test func aSpareGoesWhereThereIsNoRoom() throws {
    var script = try audited()
    let worker = try worker(at: hostsOfHolders(script).first?.last)
    script.room = script.script.status.workers[Int(worker) - 1].keptGradients
    let effects = try script.ready(worker, idle: 0)
    #expect(effects.contains { if case .send(.cancel, _) = $0 { true } else { false } })
    #expect(script.script.status.counts.lostGradients == 0)
  }

  @Test func allAreLetGoOfOnceTheSumsAreIn() throws {
    var script = try audited()
    let effects = try script.sumAll()
    let cancels = effects.count { if case .send(.cancel, _) = $0 { true } else { false } }
    let holders = script.gradients.reduce(0) { $0 + $1.holders.count }
    #expect(cancels == holders && effects.contains(.startUpdate(step: 1)))
  }

  /// An announcement is said again until it is granted, which these never are.
  @Test func whatASecondHolderSaysAgainCancelsNothing() throws {
    var script = try ReductionScript(audits: AuditSettings(rate: 1))
    try script.finishLeases()
    for (worker, leases) in script.held {
      for lease in leases where lease.step == script.script.coordinator.step {
        let again = try script.tell(
          .finished(Script.result(of: lease, parameters: ReductionScript.parameters)), worker)
        #expect(!again.cancels(lease, of: worker) && script.phase == "reducing")
      }
    }
  }
}
