import Foundation
import Glibc
import TestSupport
import Testing

/// Real workers that keep their gradients and add them up among themselves: whoever is killed, stopped or not reached, and
/// at whatever moment of a step, the bits are those of one worker that pushes them to the coordinator.
@Suite(.serialized, .ownThreads) struct GradientExchangeTests {
  private static let steps = 100
  /// A gradient of five chunks, and eight slices a step.
  private static let recipe = [
    "--head-hidden-dim", "512", "--slice-size", "2", "--max-steps", "\(steps)", "--keep-checkpoints", "2",
    "--checkpoint-every-steps", "10",
  ]
  private static let hosts = ["a", "b", "c"]

  /// What one worker comes to.
  private static let expected = Result {
    let workshop = try Workshop()
    #expect(try Program.run(workshop.arguments("calm") + recipe).status == 0)
    return try workshop.digests("calm", step: steps)
  }

  private let workshop: Workshop
  private let run = "apart"

  init() throws { workshop = try Workshop() }

  private func status() -> [String: Any] { (try? workshop.status(run)) ?? [:] }

  private func count(_ name: String) -> Int { (status()["counts"] as? [String: Any])?[name] as? Int ?? 0 }

  private var logs: String {
    ([run] + Self.hosts).map { "\($0): \(workshop.log($0).suffix(1500))\n" }.joined()
  }

  /// Waits until gradients are added up by so many workers, or more.
  private func awaitReducers(_ count: Int, of coordinator: Process) throws {
    let areThere = eventually(within: 60) {
      // Each look is a process that computes beside the workers.
      Thread.sleep(forTimeInterval: 0.1)
      return status()["reducers"] as? Int ?? 0 >= count || !coordinator.isRunning
    }
    try #require(areThere, "\(count) workers never added up together\n\(logs)")
  }

  private func awaitSteps(_ more: Int, of coordinator: Process) throws {
    let before = workshop.stepsDone(run)
    let goOn = eventually(within: 60) { workshop.stepsDone(run) >= before + more || !coordinator.isRunning }
    try #require(goOn, "steps do not go on\n\(logs)")
  }

  /// All ends as it should, with the bits of one worker.
  private func expectTheSameBits(_ coordinator: Process, _ workers: [Process]) throws {
    #expect(try coordinator.exit() == 0, "\(logs)")
    for worker in workers { #expect(try worker.exit() == 0, "\(logs)") }
    #expect(try workshop.digests(run, step: Self.steps) == Self.expected.get(), "\(logs)")
  }

  // MARK: Calm

  @Test(arguments: ["0", "1"]) func gradientsThatStayWithTheirWorkersGiveTheSameBits(auditRate: String) throws {
    let (coordinator, address) = try workshop.exchanging(run, Self.recipe + ["--audit-rate", auditRate])
    let workers = try Self.hosts.map { try workshop.worker($0, address, Workshop.listening) }
    // Where all is computed twice, the third may never deliver what counts.
    try awaitReducers(auditRate == "0" ? 3 : 2, of: coordinator)
    try expectTheSameBits(coordinator, workers)
    let reduced = workshop.records(run).split(separator: "\n").count {
      $0.contains("\"reduce_seconds\":") && !$0.contains("\"reduce_seconds\":null")
    }
    #expect(reduced > Self.steps / 2, "\(reduced) steps were reduced\n\(logs)")
    #expect(!workshop.log(run).contains("cannot add up") && !workshop.log(run).contains("does not give"), "\(logs)")
  }

  // MARK: Trouble

  /// What a worker is at.
  enum Phase: String, CaseIterable {
    /// It has leases, and keeps no gradient of the step.
    case computes
    /// It keeps one, and others of the step are not in.
    case keeps
    /// All are in: it is to give its own, and to add some up.
    case reduces

    func isThat(of status: [String: Any], _ host: String) -> Bool {
      let workers = status["workers"] as? [[String: Any]]
      guard let worker = workers?.first(where: { $0["host"] as? String == host }) else { return false }
      let (leases, kept) = (worker["leases"] as? Int ?? 0, worker["kept_gradients"] as? Int ?? 0)
      switch self {
      case .computes: return status["phase"] as? String == "computing" && leases > 0 && kept == 0
      case .keeps: return status["phase"] as? String == "computing" && kept > 0
      case .reduces: return status["phase"] as? String == "reducing" && kept > 0
      }
    }
  }

  @Test(arguments: Phase.allCases) func aWorkerThatIsKilledChangesNothing(while phase: Phase) throws {
    let (coordinator, address) = try workshop.exchanging(run, Self.recipe)
    var workers = try Self.hosts.map { try workshop.worker($0, address, Workshop.listening) }
    try awaitReducers(3, of: coordinator)
    let hit = workers[0].processIdentifier
    var random = SplitMix64(seed: 1)
    // It is stopped at some moment, and what it was at is looked up: a step waits for it for some seconds.
    let wasHit = eventually(within: 60) {
      usleep(UInt32(20_000 + random.next(below: 150_000)))
      kill(hit, SIGSTOP)
      usleep(50_000)
      if phase.isThat(of: status(), "a") || !coordinator.isRunning { return true }
      kill(hit, SIGCONT)
      return false
    }
    try #require(wasHit, "it never \(phase.rawValue)\n\(logs)")
    kill(hit, SIGKILL)
    try awaitSteps(2, of: coordinator)
    // The run may have ended before a look met it.
    if phase != .computes, coordinator.isRunning {
      #expect(count("lost_gradients") + count("sums_taken_over") > 0, "\(logs)")
    }
    workers[0].waitUntilExit()
    if coordinator.isRunning {
      workers[0] = try workshop.worker("a", address, Workshop.listening)
    } else {
      // Nobody would be there to be joined.
      workers.removeFirst()
    }
    try expectTheSameBits(coordinator, workers)
  }

  @Test func aWorkerThatStandsStillChangesNothing() throws {
    let (coordinator, address) = try workshop.exchanging(run, Self.recipe)
    let workers = try Self.hosts.map { try workshop.worker($0, address, Workshop.listening) }
    try awaitReducers(3, of: coordinator)
    kill(workers[1].processIdentifier, SIGSTOP)
    let begun = Date()
    try awaitSteps(2, of: coordinator)
    Thread.sleep(until: begun + 5)
    kill(workers[1].processIdentifier, SIGCONT)
    try expectTheSameBits(coordinator, workers)
  }

  @Test func aCoordinatorThatIsKilledAndResumesChangesNothing() throws {
    let (first, address) = try workshop.exchanging(run, Self.recipe)
    let workers = try Self.hosts.map { try workshop.worker($0, address, Workshop.listening) }
    try awaitReducers(3, of: first)
    try workshop.awaitCheckpoint(run, of: first)
    // With gradients at their workers as a rule, for the last of them cannot come.
    kill(workers[2].processIdentifier, SIGSTOP)
    usleep(300_000)
    kill(first.processIdentifier, SIGKILL)
    first.waitUntilExit()
    kill(workers[2].processIdentifier, SIGCONT)
    let (coordinator, _) = try workshop.exchanging(run, Self.recipe, listen: address)
    try awaitReducers(3, of: coordinator)
    try expectTheSameBits(coordinator, workers)
  }

  @Test func aWorkerWhosePortLeadsNowhereKeepsNothing() throws {
    let (coordinator, address) = try workshop.exchanging(run, Self.recipe)
    var workers = try Self.hosts.map { try workshop.worker($0, address, Workshop.listening) }
    workers.append(try workshop.worker("d", address, Workshop.listening + ["--advertise", "tcp://127.0.0.1:9"]))
    try awaitReducers(3, of: coordinator)
    var (looks, accepted) = (0, 0)
    let wasSeen = eventually(within: 60) {
      guard let lost = (status()["workers"] as? [[String: Any]])?.first(where: { $0["host"] as? String == "d" }) else {
        return !coordinator.isRunning
      }
      #expect(lost["is_reached"] as? Bool == false && lost["kept_gradients"] as? Int == 0)
      (looks, accepted) = (looks + 1, lost["accepted_slices"] as? Int ?? 0)
      return looks >= 5 && accepted > 0 || !coordinator.isRunning
    }
    #expect(wasSeen && accepted > 0, "it pushes whole gradients\n\(logs)")
    // However fast steps are: the coordinator tries that port for some seconds before it says so.
    for worker in workers { kill(worker.processIdentifier, SIGSTOP) }
    let isSaid = eventually(within: 60) {
      workshop.log(run).contains("cannot be reached at tcp://127.0.0.1:9") || !coordinator.isRunning
    }
    for worker in workers { kill(worker.processIdentifier, SIGCONT) }
    try expectTheSameBits(coordinator, workers)
    #expect(isSaid && workshop.log(run).contains("cannot be reached at tcp://127.0.0.1:9"), "\(logs)")
  }
}
