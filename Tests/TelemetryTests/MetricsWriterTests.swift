import Foundation
import Telemetry
import Testing

/// metrics.jsonl holds one record a step, in order, whatever restarts the run has seen.
struct MetricsWriterTests {
  static func record(_ step: Int, loss: Double = 6.5) -> MetricsRecord {
    MetricsRecord(
      step: step, epoch: Double(step) / 10, loss: loss, consistency: loss + 0.25, koleo: -0.25, targetEntropy: 3.5,
      embeddingSpread: 0.75, chosenShare: step < 7 ? nil : 0.5, lr: 1e-6, weightDecay: 0.04, momentumTeacher: 0.992,
      teacherTemp: 0.04, gradientNorm: 1.5, imagesPerSecond: 38.5, workers: 2, memoryRows: 64 * step,
      updateSeconds: 0.25, rowsCached: 60, rowsFetched: step < 7 ? nil : 4, rowWaitSeconds: 0.125, weightsSeconds: 0.5,
      unixSeconds: 1.7e9)
  }

  static func write(_ steps: ClosedRange<Int>, to file: URL, resumingAt step: Int, incarnation: UInt64) throws {
    let writer = try MetricsWriter(path: file.path, resumingAt: step, incarnation: incarnation)
    for step in steps { try writer.append(record(step)) }
  }

  static func steps(in file: URL) throws -> [Int] {
    try text(of: file).split(separator: "\n").map { line in
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return try #require(object?["step"] as? Int)
    }
  }

  @Test func recordIsOneJSONObjectWithEveryField() throws {
    let line = Self.record(7, loss: .nan).json()
    let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect(
      Set(object.keys) == [
        "step", "epoch", "loss", "consistency", "koleo", "target_entropy", "embedding_spread",
        "chosen_share", "lr", "weight_decay", "momentum_teacher",
        "teacher_temp", "gradient_norm",
        "images_per_second", "workers", "memory_rows", "update_seconds", "rows_cached", "rows_fetched",
        "row_wait_seconds", "weights_seconds", "reduce_seconds", "undecodable_pictures", "lost_pictures",
        "unix_seconds", "warning",
      ])
    #expect(object["loss"] is NSNull)
    #expect(object["lr"] as? Double == 1e-6)
    #expect(object["koleo"] as? Double == -0.25)
    #expect(object["target_entropy"] as? Double == 3.5)
    #expect(object["embedding_spread"] as? Double == 0.75)
    #expect(object["chosen_share"] as? Double == 0.5)
    #expect(object["memory_rows"] as? Int == 448)
    #expect(object["rows_cached"] as? Int == 60 && object["rows_fetched"] as? Int == 4)
    #expect(object["row_wait_seconds"] as? Double == 0.125)
    #expect(object["weights_seconds"] as? Double == 0.5)
    #expect(Self.record(6).json().contains("\"rows_fetched\":null"))
  }

  @Test func whatIsWrittenIsReadBackAndSoIsWhatOlderVersionsWrote() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      var record = Self.record(7)
      record.warning = "It \"seems\" to\ncollapse."
      try Data((record.json() + "\n").utf8).write(to: file)
      #expect(MetricsRecord.newest(inFile: file.path) == record)
      // Before units were said, and before there were warnings.
      record.warning = nil
      let old = record.json().replacing("\"unix_seconds\"", with: "\"time\"").replacing(",\"warning\":null", with: "")
      try Data((old + "\n").utf8).write(to: file)
      #expect(MetricsRecord.newest(inFile: file.path) == record)
    }
  }

  @Test func recordsBeyondTheResumedStepAreSetAside() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      try Self.write(1...12, to: file, resumingAt: 0, incarnation: 1)
      try Self.write(9...10, to: file, resumingAt: 8, incarnation: 2)
      #expect(try Self.steps(in: file) == Array(1...10))
      #expect(try Self.steps(in: folder.appending(path: "metrics.jsonl.2.aside")) == Array(9...12))
      #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "metrics.jsonl.1.aside").path))
    }
  }

  @Test func nothingIsSetAsideWhenTheCheckpointIsTheNewest() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      try Self.write(1...3, to: file, resumingAt: 0, incarnation: 1)
      try Self.write(4...5, to: file, resumingAt: 3, incarnation: 2)
      #expect(try Self.steps(in: file) == [1, 2, 3, 4, 5])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["metrics.jsonl"])
    }
  }

  /// It looked at its lock, hung, and writes after another took the run over.
  @Test func anEarlierCoordinatorsLastRecordIsNotAmongThem() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      let older = try MetricsWriter(path: file.path, resumingAt: 0, incarnation: 1)
      for step in 1...3 { try older.append(Self.record(step)) }
      let newer = try MetricsWriter(path: file.path, resumingAt: 3, incarnation: 2)
      try older.append(Self.record(4))
      for step in 4...5 { try newer.append(Self.record(step)) }
      try older.append(Self.record(5))
      #expect(try Self.steps(in: file) == [1, 2, 3, 4, 5])
    }
  }

  @Test(arguments: [1, 5, 40, 150])
  func tornLastLineIsSetAside(bytesLost: Int) throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      try Self.write(1...3, to: file, resumingAt: 0, incarnation: 1)
      let whole = try Data(contentsOf: file)
      try whole.dropLast(bytesLost).write(to: file)
      try Self.write(3...4, to: file, resumingAt: 2, incarnation: 2)
      #expect(try Self.steps(in: file) == [1, 2, 3, 4])
    }
  }

  @Test func lineThatIsNoRecordStaysInTheMiddle() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      let torn = Self.record(1).json() + "\n{\"step\":2,\"ep\n" + Self.record(3).json() + "\n"
      try Data(torn.utf8).write(to: file)
      try Self.write(4...4, to: file, resumingAt: 3, incarnation: 2)
      #expect(try text(of: file) == torn + Self.record(4).json() + "\n")
    }
  }

  @Test func recordsOfManyMebibytesAreRead() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "metrics.jsonl")
      let many = (1...8000).map { Self.record($0).json() + "\n" }.joined()
      try #require(many.utf8.count > 1 << 20)
      try Data(many.utf8).write(to: file)
      try Self.write(7001...7001, to: file, resumingAt: 7000, incarnation: 2)
      #expect(try Self.steps(in: file) == Array(1...7001))
      #expect(try Self.steps(in: folder.appending(path: "metrics.jsonl.2.aside")) == Array(7001...8000))
    }
  }

  @Test func fullDiskIsNamedAndLeavesTheWriterUsable() throws {
    let writer = try MetricsWriter(path: "/dev/full", resumingAt: 0, incarnation: 1)
    for _ in 1...2 {
      #expect(throws: TelemetryError.cannotWrite(file: "/dev/full", reason: "No space left on device")) {
        try writer.append(Self.record(1))
      }
    }
  }

  @Test func missingFolderIsNamed() {
    #expect {
      _ = try MetricsWriter(path: "/nowhere/metrics.jsonl", resumingAt: 0, incarnation: 1)
    } throws: { "\($0)" == "Cannot open /nowhere/metrics.jsonl: No such file or directory." }
  }
}
