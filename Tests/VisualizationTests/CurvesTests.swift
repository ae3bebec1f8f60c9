import Foundation
import TestSupport
import Testing
import Visualization

@Suite struct CurvesTests {
  @Test func chartsHaveTheRecordsFiguresAndNoneThatIsMissing() throws {
    try withTemporaryDirectory { run in
      let lines = (1...4).map { step in
        "{\"step\":\(step),\"loss\":\(Double(step) / 2),\"consistency\":1.0,\"koleo\":0.0,\"lr\":null,"
          + "\"gradient_norm\":\(step == 3 ? 9 : 1)}"
      }
      try (lines + ["no record"]).joined(separator: "\n").write(
        toFile: run + "/metrics.jsonl", atomically: true, encoding: .utf8)
      let charts = try RunCurves(ofRunAt: run).charts
      #expect(charts.map(\.title) == ["Loss (nats)", "Gradient norm before clipping"])
      // KoLeo without a weight is no part of the loss.
      #expect(charts[0].lines.map(\.name) == ["loss"])
      #expect(charts[0].lines[0].points.map(\.mean) == [0.5, 1, 1.5, 2])
      #expect(charts[0].lines[0].points.map(\.step) == [1, 2, 3, 4])
      #expect(charts[1].lines[0].points.map(\.largest) == [1, 1, 9, 1])
    }
  }

  @Test func whatWasEvaluatedIsDrawnToo() throws {
    try withTemporaryDirectory { run in
      try "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":1}\n".write(
        toFile: run + "/metrics.jsonl", atomically: true, encoding: .utf8)
      let lines = [10, 20].map { "{\"step\":\($0),\"rank_me\":\($0).5,\"lidar\":3,\"alpha_req\":1,\"knn\":null}\n" }
      try lines.joined().write(toFile: run + "/evaluations.jsonl", atomically: true, encoding: .utf8)
      let charts = try RunCurves(ofRunAt: run).charts
      #expect(charts.map(\.title) == ["Loss (nats)", "Directions of the features", "alpha-ReQ"])
      #expect(charts[1].lines.map(\.name) == ["RankMe", "LiDAR"])
      #expect(charts[1].lines[0].points.map(\.mean) == [10.5, 20.5])
      #expect(charts[1].lines[0].points.map(\.step) == [10, 20])
    }
  }

  @Test func manyStepsAreThinnedAndAPeakOfOneIsStillSeen() throws {
    try withTemporaryDirectory { run in
      let lines = (1...5000).map { step in "{\"step\":\(step),\"loss\":\(step == 3210 ? 50 : 1)}" }
      try lines.joined(separator: "\n").appending("\n").write(
        toFile: run + "/metrics.jsonl", atomically: true, encoding: .utf8)
      let points = try RunCurves(ofRunAt: run).charts[0].lines[0].points
      #expect(
        points.count <= 200 && points.count > 90 && points.contains { $0.largest == 50 && $0.least == 1 && $0.mean < 5 }
      )
      #expect(points.last.map { $0.step > 4990 } == true)
    }
  }

  @Test func aRunWithoutARecordIsRefused() throws {
    try withTemporaryDirectory { run in
      #expect(throws: VisualizationError.noMetrics(file: run + "/metrics.jsonl")) { try RunCurves(ofRunAt: run) }
      try "\n".write(toFile: run + "/metrics.jsonl", atomically: true, encoding: .utf8)
      #expect(throws: VisualizationError.noMetrics(file: run + "/metrics.jsonl")) { try RunCurves(ofRunAt: run) }
    }
  }
}
