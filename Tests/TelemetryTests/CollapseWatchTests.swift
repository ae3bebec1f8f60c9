import Foundation
import Telemetry
import Testing

@Suite("A run that collapses is warned of once, a healthy one never") struct CollapseWatchTests {
  /// Records of a memory of 4096 rows and blocks of 1024, 64 pictures a step.
  private static func record(
    _ step: Int, entropy: Double = 5.8, spread: Double? = 0.4, chosen: Double? = 0.9
  ) -> MetricsRecord {
    var record = MetricsWriterTests.record(step)
    (record.targetEntropy, record.embeddingSpread, record.chosenShare) = (entropy, spread, chosen)
    return record
  }

  private static func changes(_ records: some Sequence<MetricsRecord>) -> [CollapseWatch.Change] {
    var watch = CollapseWatch(blockSize: 1024, memorySize: 4096)
    return records.compactMap { watch.take($0) }
  }

  private static func isWarning(_ change: CollapseWatch.Change, of words: String) -> Bool {
    if case .begins(let text) = change { text.contains(words) } else { false }
  }

  @Test func aHealthyRunIsNotWarnedOf() {
    #expect(Self.changes((1...2000).map { Self.record($0) }).isEmpty)
    // Sharp targets, and a share that is not known, are no sign.
    #expect(Self.changes((1...500).map { Self.record($0, entropy: 0.1, chosen: nil) }).isEmpty)
    // Nor are records of a version that did not measure.
    #expect(Self.changes((1...500).map { Self.record($0, entropy: 6.93, spread: nil) }).isEmpty)
  }

  @Test func eachSignIsEnoughAndNamed() {
    let signs: [(words: String, records: [MetricsRecord])] = [
      ("targets say nothing (entropy 0.995", (1...200).map { Self.record($0, entropy: 0.995 * log(1024)) }),
      ("nearly the same (spread 0.010)", (1...200).map { Self.record($0, spread: 0.01) }),
      ("stand for all (only 0.020", (1...200).map { Self.record($0, chosen: 0.02) }),
    ]
    for (words, records) in signs {
      let changes = Self.changes(records)
      #expect(changes.count == 1 && Self.isWarning(changes[0], of: words), "\(changes)")
    }
  }

  @Test func nothingIsJudgedBeforeTheMemoryIsFilled() {
    // 64 steps fill it, 32 more make the first mean.
    #expect(Self.changes((1...94).map { Self.record($0, spread: 0.001) }).isEmpty)
    #expect(Self.changes((1...95).map { Self.record($0, spread: 0.001) }).count == 1)
  }

  @Test func oneOddStepIsNoSign() {
    #expect(Self.changes((1...1000).map { Self.record($0, spread: $0 % 100 == 0 ? 0 : 0.4) }).isEmpty)
  }

  @Test func itIsSaidOnceAndAgainOnlyAfterItWasOver() {
    // Around the first limit: back and forth says nothing more.
    let wavering = (1...2000).map { Self.record($0, spread: $0 / 200 % 2 == 1 ? 0.08 : 0.14) }
    #expect(Self.changes(wavering).count == 1)
    let twice = (1...2200).map { Self.record($0, spread: $0 / 500 % 2 == 1 ? 0.01 : 0.4) }
    let changes = Self.changes(twice)
    #expect(changes.count == 4, "\(changes)")
    #expect(changes.indices.allSatisfy { Self.isWarning(changes[$0], of: "nearly the same") == ($0 % 2 == 0) })
  }
}
