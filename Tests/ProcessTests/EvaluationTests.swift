import Foundation
import TestSupport
import Testing

/// The teacher's features are judged while a run goes on, and the run does not notice.
@Suite(.serialized, .ownThreads) struct EvaluationTests {
  private static let flags = ["--evaluate-every-steps", "10", "--evaluate-images", "24"]

  private func records(_ shop: Workshop, _ run: String) throws -> [[String: Any]] {
    let text = try String(contentsOfFile: shop.run(run) + "/evaluations.jsonl", encoding: .utf8)
    return try text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  private func steps(_ records: [[String: Any]]) -> [Int] { records.compactMap { $0["step"] as? Int } }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func aRunThatIsEvaluatedEndsAsOneThatIsNotAndSaysTheSameEverywhere() throws {
    let shop = try Workshop()
    #expect(try shop.train("plain", workers: 1).exit() == 0)
    #expect(!shop.exists("plain/evaluations.jsonl"))
    #expect(try shop.train("judged", workers: 2, Self.flags).exit() == 0)
    #expect(try shop.digests("judged") == shop.digests("plain"))

    // How many it had time for is its machine's matter, but the end waits for the last.
    let records = try records(shop, "judged")
    let newest = try #require(records.last)
    #expect(Set(steps(records)).isSubset(of: [10, 20, 30]) && steps(records) == steps(records).sorted())
    #expect(newest["step"] as? Int == 30 && newest["pictures"] as? Int == 24)
    let rank = try #require(newest["rank_me"] as? Double)
    #expect(rank >= 1 && rank <= 24)

    // The same figures wherever they are looked for.
    let status = try Program.run(["status", "--run", shop.run("judged"), "--json"])
    let said = try #require(try object(status.output)["evaluation"] as? [String: Any])
    #expect(NSDictionary(dictionary: said) == NSDictionary(dictionary: newest))
    let text = try Program.run(["status", "--run", shop.run("judged")]).output
    #expect(text.contains(String(format: "RankMe %.1f", rank)) && text.contains("of step 30"))
    let (process, port) = try shop.page("judged")
    defer { process.terminate() }
    #expect(eventually(within: 600) { PageAnswer("/api/status", port: port)?.status == 200 })
    let metrics = try #require(PageAnswer("/metrics", port: port)).body
    #expect(metrics.contains("\nmassl_evaluation_step 30\n") && metrics.contains("\nmassl_rank_me \(rank)\n"))
    let history = try object(try #require(PageAnswer("/api/history?window=evaluations", port: port)).body)
    #expect(history["first_step"] as? [Int] == steps(records))
    let means = try #require(history["mean"] as? [String: Any])
    #expect((means["rank_me"] as? [Double])?.last == rank)

    // Started again it is done, and says nothing twice.
    #expect(try shop.train("judged", workers: 1, Self.flags).exit() == 0)
    #expect(try steps(self.records(shop, "judged")) == steps(records))
  }

  @Test func aResumedRunHasNoStepTwiceAndKeepsOlderOnes() throws {
    let shop = try Workshop()
    // Stopped after step 10, which is its last then, and evaluated.
    #expect(try shop.train("stopped", workers: 1, Self.flags + ["--max-steps", "10"]).exit() == 0)
    let first = try records(shop, "stopped")
    #expect(steps(first) == [10])
    #expect(try shop.train("stopped", workers: 1, Self.flags + ["--max-steps", "30"]).exit() == 0)
    let all = try records(shop, "stopped")
    #expect(steps(all).filter { $0 == 10 }.count == 1 && steps(all).last == 30)
    #expect(NSDictionary(dictionary: all[0]) == NSDictionary(dictionary: first[0]))
  }

  /// Nobody is there: the end of a run without workers, or the start of one, waits for none.
  @Test func aCoordinatorWithoutWorkersStopsAtOnce() throws {
    let shop = try Workshop()
    let process = try Program.start(shop.coordinator("alone", "tcp://127.0.0.1:0") + Self.flags)
    _ = try shop.address("alone")
    process.terminate()
    #expect(try process.exit() == 0)
  }
}
