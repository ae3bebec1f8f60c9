import Foundation
import Telemetry
import TestSupport
import Testing
import Watching

@Suite("metrics.jsonl is followed, whatever happens to the file")
struct MetricsFollowerTests {
  private static func record(_ step: Int, loss: Double = 6.25, warning: String? = nil) -> String {
    MetricsRecord(
      step: step, epoch: 1.5, loss: loss, consistency: 6.125, koleo: 0.125, targetEntropy: 3, embeddingSpread: 0.5,
      chosenShare: nil, lr: 2.5e-4, weightDecay: 0.04, momentumTeacher: 0.996, teacherTemp: 0.04, gradientNorm: 1.25,
      imagesPerSecond: 412.123456789, workers: 4, memoryRows: 768, updateSeconds: 1e-05, rowsCached: 3, rowsFetched: 5,
      rowWaitSeconds: 0.25, weightsSeconds: 0.125, unixSeconds: 1_700_000_000.5, warning: warning
    ).json() + "\n"
  }

  private func withFollower(_ body: (_ path: String, _ follower: inout MetricsFollower) throws -> Void) throws {
    try withTemporaryDirectory { folder in
      var follower = MetricsFollower(path: "\(folder)/metrics.jsonl")
      try body("\(folder)/metrics.jsonl", &follower)
    }
  }

  private func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  private func append(_ text: String, to path: String) throws {
    let file = try #require(FileHandle(forWritingAtPath: path))
    try file.seekToEnd()
    try file.write(contentsOf: Data(text.utf8))
    try file.close()
  }

  private func readAll(_ follower: inout MetricsFollower) { while follower.advance() {} }

  @Test func figuresAreTheRecordsToTheDigit() throws {
    try withFollower { path, follower in
      let isMore = follower.advance()
      #expect(!isMore)
      let second = Self.record(2, loss: 0.1 + 0.2, warning: "a \"quoted\", {odd} \\ one")
      try write(Self.record(1, loss: .nan) + second, to: path)
      readAll(&follower)
      let steps = follower.whole.buckets
      #expect(steps.map(\.firstStep) == [1, 2])
      #expect(steps[0][.loss].mean == nil)
      #expect(steps[1][.loss].mean == 0.1 + 0.2)
      #expect(steps[1][.imagesPerSecond].mean == 412.123456789)
      #expect(steps[1][.updateSeconds].mean == 1e-05)
      #expect(steps[1][.chosenShare].mean == nil)
      #expect(steps[1][.unixSeconds].mean == 1_700_000_000.5)
      #expect(follower.unreadableLines == 0)
      #expect(follower.newest.buckets == follower.whole.buckets)
    }
  }

  @Test func aLineThatIsCutShortWaitsForItsEnd() throws {
    try withFollower { path, follower in
      let line = Self.record(2)
      try write(Self.record(1) + line.prefix(100), to: path)
      readAll(&follower)
      #expect(follower.whole.lastStep == 1)
      try append(String(line.dropFirst(100)), to: path)
      readAll(&follower)
      #expect(follower.whole.lastStep == 2)
      #expect(follower.unreadableLines == 0)
      #expect(follower.generation == 0)
    }
  }

  @Test func whatIsNoRecordIsCountedAndLeftOut() throws {
    try withFollower { path, follower in
      let torn = Self.record(2).prefix(300) + "\n"
      let odd = [
        "{}", "[1]", "{\"step\":0}", "{\"step\":-3}", "{\"step\":1.5}", "{\"step\":2,\"loss\":0x10}",
        "{\"step\":2,\"loss\":inf}", "\u{0}",
      ]
      try write(Self.record(1) + torn + odd.joined(separator: "\n") + "\n\n" + Self.record(3), to: path)
      readAll(&follower)
      #expect(follower.whole.buckets.map(\.firstStep) == [1, 3])
      #expect(follower.unreadableLines == 1 + odd.count)
    }
  }

  @Test func anOlderVersionsRecordsLackWhatItDidNotKnow() throws {
    try withFollower { path, follower in
      let record = "{\"step\":5,\"loss\":7.5,\"lr\":0.5,\"workers\":1,\"time\":1600000000.0}"
      try write(record + "\n", to: path)
      readAll(&follower)
      let step = try #require(follower.whole.buckets.first)
      #expect(step[.loss].mean == 7.5)
      #expect(step[.unixSeconds].mean == 1_600_000_000)
      #expect(step[.embeddingSpread].mean == nil)
    }
  }

  @Test func anotherFileInItsPlaceIsReadFromItsBegin() throws {
    try withFollower { path, follower in
      try write((1...20).map { Self.record($0) }.joined(), to: path)
      readAll(&follower)
      #expect(follower.whole.lastStep == 20)
      // As a coordinator does that resumes at step 5.
      try write((1...5).map { Self.record($0) }.joined(), to: path + ".tmp")
      #expect(rename(path + ".tmp", path) == 0)
      readAll(&follower)
      #expect(follower.whole.lastStep == 5)
      #expect(follower.generation == 1)
      try append(Self.record(6), to: path)
      readAll(&follower)
      #expect(follower.whole.lastStep == 6)
      // Shortened where it is.
      try #require(FileHandle(forWritingAtPath: path)).truncate(atOffset: UInt64(Self.record(1).utf8.count))
      readAll(&follower)
      #expect(follower.whole.lastStep == 1)
      #expect(follower.generation == 2)
      try FileManager.default.removeItem(atPath: path)
      readAll(&follower)
      #expect(follower.whole.buckets.isEmpty)
    }
  }

  @Test func aLargeFileIsSeenInPartAtOnceAndWholeSoon() throws {
    try withFollower { path, follower in
      // 17 MB, so that it is more than two pieces.
      try write((1...25_000).map { Self.record($0, loss: Double($0)) }.joined(), to: path)
      let isMore = follower.advance()
      #expect(isMore)
      let sample = try #require(follower.sample)
      #expect(sample.buckets.count > 100)
      #expect(try #require(sample.lastStep) > 24_000)
      readAll(&follower)
      #expect(follower.sample == nil)
      #expect(follower.whole.lastStep == 25_000)
      #expect(follower.whole.buckets.reduce(0) { $0 + $1[.loss].count } == 25_000)
      #expect(follower.bytesRead == follower.size)
    }
  }

  @Test func aLineWithoutAnEndTakesNoMemory() throws {
    try withFollower { path, follower in
      try write(String(repeating: "a", count: 9 << 20) + "\n" + Self.record(1), to: path)
      readAll(&follower)
      #expect(follower.whole.lastStep == 1)
      #expect(follower.unreadableLines > 0)
    }
  }

  @Test func foreignBytesAreRecordsOrNone() throws {
    struct None: Error {}
    let report = Fuzzing("histories", percent: 1, filter: "WatchingTests.MetricsFollowerTests").run(
      corpus: [Array(Self.record(12, warning: "a").dropLast().utf8)], refusing: { $0 is None }
    ) { input, _ in
      var line = MetricsLine()
      guard input.withUnsafeBufferPointer({ line.read($0) }) else { throw None() }
      var history = History()
      history.add(step: line.step, line.values)
      guard history.lastStep == line.step else { throw Fuzzing.Mistake("step \(line.step) is not kept") }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > 0)
  }
}
