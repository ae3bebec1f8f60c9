import Foundation
import TestSupport
import Testing

/// Real processes under blows at random moments. MASSL_SEED=7 deals the blows of that seed again; MASSL_KILLS=100 goes on,
/// run after run, until so many processes were killed, in turns on this machine and on hosts with links of their own.
@Suite(.serialized, .ownThreads) struct ChaosTests {
  static let steps = 200
  /// Of runs with shards: some ten files in the memory, and weights of two chunks.
  private static let recipe = ["--extent-rows", "32", "--epochs", "1000", "--head-hidden-dim", "512"]

  private static let workersOnHosts = 8

  private let workshop: Workshop
  /// Of an undisturbed run.
  private let expected: [String]

  init() throws {
    workshop = try Workshop()
    expected = try Self.digests(of: "calm", ["--max-steps", "\(Self.steps)"], in: workshop)
  }

  private static func digests(of run: String, _ recipe: [String], in workshop: Workshop) throws -> [String] {
    let ended = try Program.run(workshop.arguments(run) + recipe, limit: 600)
    #expect(ended.status == 0, "\(ended)")
    return try workshop.digests(run, step: #require(workshop.steps(run).last))
  }

  @Test func blowsAtRandomMomentsChangeNoBits() throws {
    let environment = ProcessInfo.processInfo.environment
    let killsWanted = environment["MASSL_KILLS"].flatMap(Int.init)
    let isSoak = killsWanted != nil
    // A long run is to find what the short one, always the same, does not.
    var seed = environment["MASSL_SEED"].flatMap(UInt64.init) ?? (isSoak ? UInt64.random(in: 1_000...1_000_000) : 1)
    let steps = isSoak ? 2000 : Self.steps
    let recipe = Self.recipe + ["--max-steps", "\(steps)"]
    let expected = try Self.digests(of: "sharded", recipe, in: workshop)
    var counts: [Chaos.Blow: Int] = [:]
    var gaps = StepGaps()
    var runs = 0
    repeat {
      let hosts = isSoak && runs % 2 == 1 ? try Self.hosts() : nil
      let chaos = try Chaos(
        seed: seed, workers: hosts == nil ? 3 : Self.workersOnHosts, shards: 2, pauses: isSoak ? 2...6 : 0...0.8,
        recipe: recipe, on: hosts, in: workshop)
      // Steps take many times as long over links.
      let problem = try chaos.run(blows: isSoak ? (hosts == nil ? 30 : 100) : 12)
      try #require(problem == nil, "\(problem ?? "")\n\(chaos.report)")
      let digests = try workshop.digests(chaos.run, step: steps)
      try #require(digests == expected, "other bits than an undisturbed run's\n\(chaos.report)")
      if !isSoak { #expect(chaos.total >= 6, "the run was over before it was tried\n\(chaos.report)") }
      counts.merge(chaos.counts, uniquingKeysWith: +)
      let gapsOfRun = try chaos.gaps()
      gaps.add(gapsOfRun)
      try FileManager.default.removeItem(atPath: workshop.run(chaos.run))
      runs += 1
      seed += 1
      if isSoak {
        print("chaos: seed \(seed - 1), \(runs) runs, \(Self.kills(counts)) kills: \(Self.described(counts))")
        print("chaos: seed \(seed - 1), \(gapsOfRun)")
        for hole in gapsOfRun.holes {
          let seconds = String(format: "%.2f", hole.upperBound - hole.lowerBound)
          print("chaos: \(seconds) s until \(hole.upperBound): \(chaos.story(of: hole).joined(separator: "; "))")
        }
      }
    } while Self.kills(counts) < killsWanted ?? 0
    if isSoak { print("chaos: \(runs) runs, \(gaps)") }
  }

  /// Nil where there can be none.
  private static func hosts() throws -> VirtualHosts? {
    guard VirtualHosts.unavailable == nil else { return nil }
    let workers = (0..<workersOnHosts).map { "worker-\($0)" }
    return try VirtualHosts(["coordinator", "shard-0", "shard-1"] + workers, megabits: 200)
  }

  private static func kills(_ counts: [Chaos.Blow: Int]) -> Int {
    [.killCoordinator, .killWorker, .killShard].reduce(0) { $0 + counts[$1, default: 0] }
  }

  private static func described(_ counts: [Chaos.Blow: Int]) -> String {
    Chaos.Blow.allCases.map { "\($0.rawValue) \(counts[$0, default: 0])" }.joined(separator: ", ")
  }

  /// What it had is computed again by the other; the bound is generous, the test is that there is an end at all.
  @Test func aStoppedWorkerHoldsTheRunUpForOneLeaseAtMost() throws {
    let coordinator = try Program.start(
      workshop.coordinator("halved", "tcp://127.0.0.1:0") + ["--max-steps", "\(Self.steps)"])
    let address = try workshop.address("halved")
    let workers = try (0..<2).map { _ in
      try Program.start(["worker", "--coordinator", address, "--data", workshop.data, "--threads", "1"])
    }
    defer {
      for process in workers + [coordinator] where process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
    try workshop.awaitCheckpoint("halved", of: coordinator)
    kill(workers[0].processIdentifier, SIGSTOP)
    let steps = workshop.steps("halved")
    #expect(try #require(steps.last) < Self.steps - 20, "stopped too late to show anything: \(steps)")
    #expect(try coordinator.exit(within: 60) == 0)
    #expect(workers[0].isRunning)
    #expect(try workshop.digests("halved", step: Self.steps) == expected)
  }
}
