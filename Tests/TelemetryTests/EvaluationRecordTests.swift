import Foundation
import Telemetry
import TestSupport
import Testing

/// evaluations.jsonl holds one record for each step that was evaluated.
struct EvaluationRecordTests {
  private static func record(_ step: Int, knn: Double? = 0.625) -> EvaluationRecord {
    EvaluationRecord(
      step: step, rankMe: 31.25, lidar: 17.5, alphaReQ: 1.125, knn: knn, pictures: 512, seconds: 2.5,
      unixSeconds: 1.7e9)
  }

  @Test(arguments: [nil, 0.625]) func whatIsWrittenIsReadBack(knn: Double?) throws {
    let line = Self.record(400, knn: knn).json()
    let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect(
      Set(object.keys) == [
        "step", "rank_me", "lidar", "alpha_req", "knn", "pictures", "seconds", "unix_seconds",
      ])
    try withTemporaryDirectory { path in
      let file = path + "/evaluations.jsonl"
      #expect(EvaluationRecord.newest(inFile: file) == nil)
      try Data((Self.record(200).json() + "\nnothing\n" + line + "\n{\"step\":500,\"ra").utf8)
        .write(to: URL(fileURLWithPath: file))
      #expect(EvaluationRecord.newest(inFile: file) == Self.record(400, knn: knn))
      #expect(EvaluationRecord.newest(inFile: file, upTo: 399) == Self.record(200))
      #expect(EvaluationRecord.newest(inFile: file, upTo: 199) == nil)
    }
  }

  @Test func aRunThatGoesBackSetsLaterOnesAside() throws {
    try withTemporaryDirectory { path in
      let file = path + "/evaluations.jsonl"
      do {
        let writer = try MetricsWriter(path: file, resumingAt: 0, incarnation: 1)
        for step in [100, 200, 300] { try writer.append(Self.record(step)) }
      }
      do {
        let writer = try MetricsWriter(path: file, resumingAt: 250, incarnation: 2)
        try writer.append(Self.record(300, knn: nil))
      }
      let text = try String(contentsOfFile: file, encoding: .utf8)
      #expect(
        text
          == [Self.record(100), Self.record(200), Self.record(300, knn: nil)].map { $0.json() + "\n" }.joined())
      #expect(
        try String(contentsOfFile: file + ".2.aside", encoding: .utf8) == Self.record(300).json() + "\n")
    }
  }
}
