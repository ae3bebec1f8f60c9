import Durability
import EventFiles
import Foundation
import Telemetry
import TestSupport
import Testing
import Watching

@Suite("A run's records as events, each step once")
struct TensorBoardFeedTests {
  private static func record(_ step: Int, start: Int) -> String {
    var record = MetricsRecord(
      step: step, epoch: 1.5, loss: 6.25, consistency: 6.125, koleo: 0.125, targetEntropy: .nan, embeddingSpread: 0.5,
      chosenShare: nil, lr: 2.5e-4, weightDecay: 0.04, momentumTeacher: 0.996, teacherTemp: 0.04, gradientNorm: 1.25,
      imagesPerSecond: 412, workers: 4, memoryRows: 768, updateSeconds: 1e-05, rowsCached: 3, rowsFetched: 5,
      rowWaitSeconds: 0.25, weightsSeconds: 0.125, unixSeconds: Double(1000 * start + step), warning: "odd \u{1b}[31m")
    record.layerGradientNorms = [.init(layer: "blocks.0", norm: 0.5)]
    return record.json() + "\n"
  }

  private func records(_ steps: ClosedRange<Int>, start: Int = 1) -> String {
    steps.map { Self.record($0, start: start) }.joined()
  }

  /// What stands in the folder: steps, and the start in which each was done.
  private func standing(_ path: String) throws -> [String] {
    let past = PastEvents(try whenFree { try EventFolder(path + "/out") })
    var found: [String] = []
    while let mark = past.next() { found.append("\(mark.step)@\(Int(mark.wallTime) / 1000)") }
    return found
  }

  private func feed(_ path: String, every: Int = 1) throws -> TensorBoardFeed {
    try whenFree { try TensorBoardFeed(of: path, data: nil, into: path + "/out", every: every, log: { _, _ in }) }
  }

  /// A process that another test starts has this one's locks, too, until it is another program.
  private func whenFree<Result>(_ open: () throws -> Result) throws -> Result {
    for _ in 0..<10_000 {
      do { return try open() } catch EventFileError.inUse { usleep(1000) }
    }
    return try open()
  }

  private func write(_ text: String, _ path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/metrics.jsonl"), options: .atomic)
  }

  private func files(_ path: String) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: path + "/out").count { $0.contains("tfevents") }
  }

  @Test func whatStandsThereIsNotWrittenAgain() throws {
    try withTemporaryDirectory { path in
      try write(records(1...3), path)
      do {
        var feed = try feed(path)
        try feed.write()
        try feed.write()
        #expect(try files(path) == 1)
      }
      do {
        var again = try feed(path)
        try again.write()
      }
      #expect(try files(path) == 1)
      #expect(try standing(path) == ["1@1", "2@1", "3@1"])
      try write(records(1...5), path)
      do {
        var again = try feed(path)
        try again.write()
      }
      #expect(try standing(path) == ["1@1", "2@1", "3@1", "4@1", "5@1"])
    }
  }

  @Test func evaluationsHaveAFolderOfTheirOwn() throws {
    func evaluation(_ step: Int) -> String {
      EvaluationRecord(
        step: step, rankMe: 7.5, lidar: 3, alphaReQ: 1.25, knn: nil, pictures: 512, seconds: 2,
        unixSeconds: Double(1000 + step)
      ).json() + "\n"
    }
    try withTemporaryDirectory { path in
      try write(records(1...9), path)
      do {
        var feed = try feed(path)
        try feed.write()
        #expect(!FileManager.default.fileExists(atPath: path + "/out/evaluations"))
        let file = URL(fileURLWithPath: path + "/evaluations.jsonl")
        try Data(evaluation(4).utf8).write(to: file)
        try feed.write()
        // It comes after records of later steps.
        try Data((evaluation(4) + evaluation(8)).utf8).write(to: file)
        try feed.write()
      }
      #expect(try standing(path) == (1...9).map { "\($0)@1" })
      let past = PastEvents(try whenFree { try EventFolder(path + "/out/evaluations") })
      var steps: [Int] = []
      while let mark = past.next() { steps.append(mark.step) }
      #expect(steps == [4, 8])
    }
  }

  @Test func stepsThatARestartedRunDoesAgainTakeTheOldOnesPlace() throws {
    try withTemporaryDirectory { path in
      try write(records(1...6), path)
      var feed = try feed(path)
      try feed.write()
      // The coordinator resumed at step 3, and has done step 4 again while it was watched, then step 5.
      try write(records(1...3) + records(4...4, start: 2), path)
      try feed.write()
      try write(records(1...3) + records(4...5, start: 2), path)
      try feed.write()
      _ = consume feed
      #expect(try standing(path) == ["1@1", "2@1", "3@1", "4@2", "5@2"])
      // Once more while nobody watched, and another run at last.
      try write(records(1...1) + records(2...9, start: 3), path)
      do {
        var again = try self.feed(path)
        try again.write()
      }
      #expect(try standing(path) == ["1@1"] + (2...9).map { "\($0)@3" })
      try write(records(1...2, start: 7), path)
      do {
        var again = try self.feed(path)
        try again.write()
      }
      #expect(try standing(path) == ["1@7", "2@7"])
    }
  }

  @Test func linesThatAreNoRecordsAreLeftOutAndOldOnesTaken() throws {
    try withTemporaryDirectory { path in
      let old = "{\"step\":3,\"loss\":7.5,\"lr\":0.5,\"workers\":1,\"time\":1003.0}\n"
      try write(
        records(1...2) + "{\"step\":2,\"lo\n\u{0}\n{}\n" + old + records(2...2) + Self.record(4, start: 1).prefix(90),
        path)
      var feed = try feed(path)
      try feed.write()
      _ = consume feed
      #expect(try standing(path) == ["1@1", "2@1", "3@1"])
    }
  }

  @Test func oneStepInSoManyIsWritten() throws {
    try withTemporaryDirectory { path in
      try write(records(1...10), path)
      do {
        var feed = try feed(path, every: 4)
        try feed.write()
      }
      #expect(try standing(path) == ["4@1", "8@1"])
      try write(records(1...13), path)
      do {
        var feed = try feed(path, every: 4)
        try feed.write()
      }
      #expect(try standing(path) == ["4@1", "8@1", "12@1"])
      #expect(try files(path) == 2)
    }
  }

  @Test func anEventHasEveryFigureOfItsRecordUnderItsOwnName() throws {
    try withTemporaryDirectory { path in
      try write(records(1...1), path)
      var feed = try feed(path)
      try feed.write()
      _ = consume feed
      let name = try #require(
        FileManager.default.contentsOfDirectory(atPath: path + "/out").first { $0.contains("tfevents") })
      let bytes = try #require(FileManager.default.contents(atPath: "\(path)/out/\(name)"))
      for tag in [
        "loss/loss", "loss/consistency", "loss/koleo", "collapse/embedding_spread", "schedule/lr",
        "schedule/teacher_temp", "gradient/gradient_norm", "gradient/blocks.0", "seconds/update_seconds",
        "run/images_per_second", "run/memory_rows",
      ] { #expect(bytes.range(of: Data(tag.utf8)) != nil, "\(tag)") }
      // Neither what is null nor a text.
      for tag in ["target_entropy", "chosen_share", "warning", "odd"] {
        #expect(bytes.range(of: Data(tag.utf8)) == nil, "\(tag)")
      }
    }
  }

  @Test func histogramsOfStepsThatStillCountAreKept() throws {
    try withTemporaryDirectory { path in
      let histograms = StepEvent(wallTime: 9, step: 0, .histograms([("student/w", Histogram(of: [1, 2]))]))
      func take(_ text: String, _ events: inout ScalarEvents) throws {
        for line in text.split(separator: "\n") {
          try Array(line.utf8).withUnsafeBufferPointer { line throws(EventFileError) in try events.take(line) }
        }
        try events.flush()
      }
      do {
        var events = ScalarEvents(try whenFree { try EventFolder(path + "/out") }, every: 1)
        try take(records(1...6), &events)
        // As checkpoints come: some steps later.
        var late = histograms
        for step in [3, 5] {
          late.step = step
          try events.add([late], of: step)
        }
      }
      // Steps from 5 on are done again.
      var events = ScalarEvents(try whenFree { try EventFolder(path + "/out") }, every: 1)
      try take(records(1...4) + records(5...6, start: 2), &events)
      let isCompared = events.isCompared()
      #expect(isCompared)
      #expect(events.sampled == [3])
      _ = consume events
      #expect(try standing(path) == ["1@1", "2@1", "3@1", "4@1", "3@0", "5@2", "6@2"])
    }
  }
}
