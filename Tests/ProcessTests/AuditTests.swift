import Foundation
import TestSupport
import Testing

/// Real processes, one of which flips a bit of a gradient now and then: it is found, named and left out, and the weights
/// and the memory end as if it had never been there.
@Suite(.serialized, .ownThreads) struct AuditTests {
  private let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// The digests of an undisturbed run of so many steps.
  private func calm(_ steps: Int) throws -> [String] {
    let calm = try Program.run(workshop.arguments("calm") + ["--max-steps", "\(steps)"])
    #expect(calm.status == 0, "\(calm)")
    return try workshop.digests("calm", step: steps)
  }

  /// Runs with one good and one bad worker.
  /// - Returns: the coordinator's log.
  private func run(_ name: String, flippingEvery count: Int, steps: Int, _ flags: [String]) throws -> String {
    let coordinator = try Program.start(
      workshop.coordinator(name, "tcp://127.0.0.1:0") + ["--max-steps", "\(steps)"] + flags)
    let address = try workshop.address(name)
    func worker(_ host: String, through: [String] = []) throws -> Process {
      try Program.start(
        ["worker", "--coordinator", address, "--data", workshop.data, "--threads", "1", "--host", host],
        log: workshop.folder + "/\(name)-\(host).log", through: through)
    }
    let bad = try worker("bad", through: BrokenProcessor.through(wrongEverySlices: count, in: workshop.folder))
    // It shall have its part in the run before it is found.
    let isThere = eventually(within: 20) { log(name).contains("'bad/") }
    try #require(isThere, "\(log(name))")
    let good = try worker("good")
    defer {
      for process in [bad, good, coordinator] where process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
    let haveEnded = eventually(within: 60) { !coordinator.isRunning && !good.isRunning && !bad.isRunning }
    try #require(haveEnded, "\(coordinator.isRunning) \(log(name).suffix(2000))")
    #expect(coordinator.terminationStatus == 0 && good.terminationStatus == 0 && bad.terminationStatus == 65)
    let words = try String(contentsOfFile: workshop.folder + "/\(name)-bad.log", encoding: .utf8)
    #expect(words.contains("Host 'bad' is in quarantine") && words.contains("quarantine.json"), "\(words)")
    return log(name)
  }

  private func log(_ run: String) -> String {
    (try? String(contentsOfFile: workshop.run(run) + "/coordinator.log", encoding: .utf8)) ?? ""
  }

  private func quarantined(_ run: String) throws -> [[String: Any]] {
    let status = try Program.run(["status", "--run", workshop.run(run), "--json"])
    let object = try JSONSerialization.jsonObject(with: Data(status.output.utf8)) as? [String: Any]
    return try #require(object?["quarantined"] as? [[String: Any]])
  }

  @Test func atRateOneAFlippedBitIsFoundAtOnce() throws {
    let log = try run("all-audited", flippingEvery: 5, steps: 40, ["--audit-rate", "1"])
    #expect(log.contains("host 'bad' is quarantined") && !log.contains("goes back"), "\(log.suffix(2000))")
    #expect(try quarantined("all-audited").map { $0["host"] as? String } == ["bad"])
    let text = try Program.run(["status", "--run", workshop.run("all-audited")]).output
    #expect(text.contains("quarantine  host 'bad'"), "\(text)")
    #expect(try workshop.digests("all-audited", step: 40) == calm(40))
  }

  @Test func atASmallerRateTheRunGoesBackAndEndsRight() throws {
    // At these figures one run in thousands has no lie found, or none before that counts.
    let log = try run(
      "some-audited", flippingEvery: 6, steps: 100, ["--audit-rate", "0.3", "--checkpoint-every-steps", "1"])
    #expect(log.contains("the run goes back"), "\(log.suffix(2000))")
    #expect(log.components(separatedBy: "Listens on ").count == 3, "\(log.suffix(2000))")
    #expect(try quarantined("some-audited").map { $0["host"] as? String } == ["bad"])
    #expect(try workshop.digests("some-audited", step: 100) == calm(100))
  }

  @Test func aDamagedQuarantineIsNamed() throws {
    _ = try calm(5)
    let file = workshop.run("calm") + "/quarantine.json"
    try "{ \"hosts\": ".write(toFile: file, atomically: true, encoding: .utf8)
    let ended = try Program.run(workshop.coordinator("calm", "tcp://127.0.0.1:0"))
    #expect(ended.status == 65 && ended.errors.contains(file) && ended.errors.contains("delete it"), "\(ended)")
  }
}
