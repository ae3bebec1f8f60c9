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

  private static func changes(
    _ records: some Sequence<MetricsRecord>, memorySize: Int = 4096, width: Int = 128, rateRises: Int = 0
  ) -> [CollapseWatch.Change] {
    var watch = CollapseWatch(blockSize: 1024, memorySize: memorySize, width: width, rateRises: rateRises)
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

  /// A memory that no run fills: 256 steps are waited for, or as many as the learning rate rises in.
  @Test func aMemoryTooLargeToFillIsJudgedAfterAWarmUp() {
    let (size, spread) = (1 << 30, 0.0017)
    let collapsed = (1...2000).map { Self.record($0, spread: spread) }
    #expect(Self.changes(collapsed.prefix(287), memorySize: size).isEmpty)
    let changes = Self.changes(collapsed.prefix(288), memorySize: size)
    #expect(changes.count == 1 && Self.isWarning(changes[0], of: "nearly the same (spread 0.002)"), "\(changes)")
    #expect(Self.changes(collapsed.prefix(1031), memorySize: size, rateRises: 1000).isEmpty)
    #expect(Self.changes(collapsed.prefix(1032), memorySize: size, rateRises: 1000).count == 1)
    // Who is young for as long as others, and then learns, is not warned of; nor for what no row can tell yet.
    let learns = (1...2000).map { Self.record($0, spread: $0 < 150 ? 0.02 : 0.4, chosen: 0.001) }
    #expect(Self.changes(learns, memorySize: size).isEmpty)
  }

  /// Rows of noise have an entropy of their own: at a low temperature and few dimensions one that tells something.
  @Test func theEntropyOfNoiseIsNoSign() {
    let dull = (1...400).map { Self.record($0, entropy: 0.99 * log(1024)) }
    #expect(Self.changes(dull, memorySize: 1 << 30, width: 128).count == 1)
    // 0.04 as temperature, 4096 floats a row: noise comes to 0.989 of the largest entropy.
    #expect(Self.changes(dull, memorySize: 1 << 30, width: 4096).isEmpty)
    #expect(Self.changes(dull, memorySize: 4096, width: 4096).count == 1)
  }

  /// Between a resume and the first mean the sentence stands.
  @Test func whatWasSaidBeforeAResumeStandsUntilItIsJudgedAgain() {
    for (spread, ends) in [(0.01, false), (0.4, true)] {
      var watch = CollapseWatch(blockSize: 1024, memorySize: 4096, width: 128, warning: "It seems to collapse.")
      for step in 501...531 {
        #expect(watch.take(Self.record(step, spread: spread)) == nil)
        #expect(watch.warning == "It seems to collapse.")
      }
      let change = watch.take(Self.record(532, spread: spread))
      #expect(change == (ends ? .ends("The run no longer seems to collapse.") : nil))
      #expect((watch.warning == nil) == ends)
    }
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
