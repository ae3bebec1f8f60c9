import Foundation
import Glibc
import TestSupport
import Testing

/// Real workers that fetch each step's weights from each other: whoever is killed, stopped, cut off or not reached, the
/// bits are those of one worker that has them from the coordinator.
@Suite(.serialized, .ownThreads) struct WeightExchangeTests {
  static let steps = 120
  /// A network of five chunks.
  static let recipe = [
    "--head-hidden-dim", "1024", "--max-steps", "\(steps)", "--keep-checkpoints", "1", "--checkpoint-every-steps", "20",
  ]

  private let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func calm() throws -> [String] {
    #expect(try Program.run(workshop.arguments("calm") + Self.recipe).status == 0)
    return try workshop.digests("calm", step: Self.steps)
  }

  private func coordinator(_ run: String, exchange: String = "always") throws -> (process: Process, address: String) {
    try workshop.exchanging(run, Self.recipe, exchange: exchange)
  }

  private func sources(_ run: String) -> Int { (try? workshop.status(run)["weight_sources"] as? Int) ?? 0 }

  private func end(_ coordinator: Process, _ workers: [Process]) throws {
    #expect(try coordinator.exit() == 0)
    for worker in workers { try worker.exit() }
  }

  @Test func weightsOfEachOtherGiveTheSameBits() throws {
    let expected = try calm()
    let (coordinator, address) = try coordinator("apart")
    let workers = try ["a", "b", "c"].map { try workshop.worker($0, address, Workshop.listening) }
    try #require(eventually(within: 40) { sources("apart") == 3 }, "\(workshop.log("apart").suffix(1500))")
    try end(coordinator, workers)
    #expect(try workshop.digests("apart", step: Self.steps) == expected)
    for host in ["a", "b", "c"] {
      #expect(workshop.log(host).contains("Gives weights to other workers at tcp://127.0.0.1:"))
      #expect(
        !workshop.log(host).contains("do not answer") && !workshop.log(host).contains("other bits"),
        "\(workshop.log(host))")
    }
  }

  @Test func whoIsKilledStoppedOrNotReachedChangesNothing() throws {
    let expected = try calm()
    let (coordinator, address) = try coordinator("troubled")
    // The port of d leads nowhere.
    var workers = try ["a", "b", "c"].map { try workshop.worker($0, address, Workshop.listening) }
    workers.append(try workshop.worker("d", address, Workshop.listening + ["--advertise", "tcp://127.0.0.1:9"]))
    try #require(eventually(within: 40) { sources("troubled") == 3 }, "\(workshop.log("troubled").suffix(1500))")
    let cannot = "cannot be reached at tcp://127.0.0.1:9"
    #expect(eventually(within: 20) { workshop.log("troubled").contains(cannot) })
    // One is killed in the middle, and comes back; one stands still for longer than it is waited for.
    kill(workers[0].processIdentifier, SIGKILL)
    kill(workers[1].processIdentifier, SIGSTOP)
    let before = workshop.stepsDone("troubled")
    let goOn = eventually(within: 30) { workshop.stepsDone("troubled") > before + 3 || !coordinator.isRunning }
    #expect(goOn, "steps do not go on")
    kill(workers[1].processIdentifier, SIGCONT)
    workers[0] = try workshop.worker("a", address, Workshop.listening)
    try end(coordinator, workers)
    #expect(try workshop.digests("troubled", step: Self.steps) == expected)
  }

  @Test func aRunOnOneHostExchangesNothing() throws {
    let (coordinator, address) = try coordinator("alone", exchange: "automatic")
    let workers = try [0, 1].map { _ in try workshop.worker("a", address, Workshop.listening) }
    try #require(eventually(within: 40) { workshop.stepsDone("alone") > 10 })
    #expect(sources("alone") == 0)
    let workersSeen = try workshop.status("alone")["workers"] as? [[String: Any]]
    let reached = workersSeen?.compactMap { $0["is_reached"] as? Bool }
    #expect(reached == [false, false], "nobody is asked")
    try end(coordinator, workers)
  }
}
