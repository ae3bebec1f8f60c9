import Foundation
import Telemetry
import TestSupport
import Testing

@Suite("Foreign bytes are metrics, or are none")
struct FuzzTests {
  private struct None: Error {}

  @Test func metrics() throws {
    let record = MetricsRecord(
      step: 12, epoch: 1.5, loss: 6.25, consistency: 6.125, koleo: 0.125, targetEntropy: 3, embeddingSpread: 0.5,
      chosenShare: 0.25, lr: 2.5e-4,
      weightDecay: 0.04, momentumTeacher: 0.996, teacherTemp: 0.04, gradientNorm: 1.25, imagesPerSecond: 412.5,
      workers: 4, memoryRows: 768, updateSeconds: 0.5, rowsCached: 3, rowsFetched: 5, rowWaitSeconds: 0.25,
      weightsSeconds: 0.125,
      unixSeconds: 1_700_000_000)
    try withTemporaryDirectory { root in
      let path = "\(root)/metrics.jsonl"
      let report = Fuzzing("metrics", percent: 2, filter: "TelemetryTests.FuzzTests").run(
        corpus: [Array("\(record.json())\n\(record.json())\n".utf8)], refusing: { $0 is None }
      ) { input, _ in
        try Data(input).write(to: URL(fileURLWithPath: path))
        guard let found = MetricsRecord.newest(inFile: path) else { throw None() }
        _ = ProgressLine.render(
          ProgressState(
            step: found.step, lastStep: 100, epoch: 1, epochs: 2, loss: found.loss, lr: found.lr,
            imagesPerSecond: found.imagesPerSecond, secondsLeft: found.unixSeconds, workers: found.workers,
            memoryFilled: found.epoch), width: 200)
      }
      #expect(report.failures == [])
      #expect(!report.isWhole || report.accepted > 0 && report.refused > 0)
    }
  }
}
