import EventFiles
import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("Event files, as TensorBoard reads them")
struct EventFilesTests {
  private func scalars(_ step: Int, _ value: Float = 1) -> StepEvent {
    StepEvent(wallTime: Double(step) + 0.5, step: step, .scalars([("loss/loss", value)]))
  }

  private func marks(_ folder: EventFolder) -> [PastEvents.Mark] {
    let past = PastEvents(folder)
    var marks: [PastEvents.Mark] = []
    while let mark = past.next() { marks.append(mark) }
    return marks
  }

  private func names(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).filter { $0.contains("tfevents") }.sorted()
  }

  /// As TensorBoard's own writer makes it.
  @Test func aRecordHasTheBytesOfTensorBoards() {
    let record: [UInt8] = [
      0x17, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe7, 0xce, 0xf8, 0x1e, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
      0xf0, 0x3f, 0x10, 0x03, 0x2a, 0x0a, 0x0a, 0x08, 0x0a, 0x01, 0x61, 0x15, 0x00, 0x00, 0x20, 0x40, 0xa5, 0xc9, 0x7f,
      0x05,
    ]
    #expect(StepEvent(wallTime: 1, step: 3, .scalars([("a", 2.5)])).record() == record)
  }

  @Test func whatIsWrittenIsFoundAgainInOrder() throws {
    try withTemporaryDirectory { path in
      let folder = try EventFolder(path + "/out")
      let file = try folder.begin(at: 0, wallTime: 100)
      let picture = EventPicture(width: 2, height: 1, jpeg: [1, 2, 3])
      let histogram = Histogram(of: [1, 2, 2.5, .nan, 8])
      try file.append(
        StepEvent(wallTime: 9, step: 0, .pictures([("views/0", picture)])).record() + scalars(1).record()
          + StepEvent(wallTime: 10, step: 1, .histograms([("student/w", histogram)])).record() + scalars(2).record())
      #expect(marks(folder).map(\.kind) == [.others, .scalars, .others, .scalars])
      #expect(marks(folder).map(\.step) == [0, 1, 1, 2])
      #expect(marks(folder).map(\.wallTime) == [9, 1.5, 10, 2.5])
    }
  }

  @Test func aLaterFileTakesThePlaceOfStepsThatAreDoneAgain() throws {
    try withTemporaryDirectory { path in
      let folder = try EventFolder(path)
      try folder.begin(at: 0, wallTime: 100).append((1...5).flatMap { scalars($0).record() })
      // The clock went back.
      try folder.begin(at: 4, wallTime: 50).append((4...6).flatMap { scalars($0).record() })
      try folder.begin(at: 2, wallTime: 101).append(scalars(2).record())
      #expect(marks(folder).map(\.step) == [1, 2])
      #expect(try names(path).count == 3)
    }
  }

  @Test func aTornRecordEndsItsFileAndNoOther() throws {
    try withTemporaryDirectory { path in
      let folder = try EventFolder(path)
      try folder.begin(at: 0, wallTime: 100).append((1...3).flatMap { scalars($0).record() })
      let first = path + "/" + (try #require(names(path).first))
      let size = try #require(FileManager.default.contents(atPath: first)).count
      truncate(first, off_t(size - 1))
      #expect(marks(folder).map(\.step) == [1, 2])
      try folder.begin(at: 3, wallTime: 101).append(scalars(3).record())
      #expect(marks(folder).map(\.step) == [1, 2, 3])
      // Damage in the middle.
      var bytes = try #require(FileManager.default.contents(atPath: first))
      bytes[bytes.count / 2] ^= 1
      try bytes.write(to: URL(fileURLWithPath: first))
      #expect(marks(folder).map(\.step).last == 3)
      #expect(marks(folder).count < 3)
    }
  }

  @Test func foreignFilesCountForNothing() throws {
    try withTemporaryDirectory { path in
      let folder = try EventFolder(path)
      for name in ["events.out.tfevents.0000000001.host", "events.out.tfevents.0000000002.massl", "notes.txt"] {
        try Data("not an event".utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
      }
      #expect(marks(folder).isEmpty)
      try folder.begin(at: 0, wallTime: 1).append(scalars(1).record())
      #expect(marks(folder).map(\.step) == [1])
    }
  }

  @Test func oneFolderHasOneWriter() throws {
    try withTemporaryDirectory { path in
      let folder = try EventFolder(path)
      #expect(throws: EventFileError.inUse(path)) { _ = try EventFolder(path) }
      withExtendedLifetime(folder) {}
    }
  }

  private final class Others: Sendable {
    let areDone = Atomic(false)
    /// Descriptors of theirs that somebody else had closed.
    let lost = Atomic(0)
  }

  /// A descriptor that is closed twice may be another's by the second time: a connection of a run's, say.
  @Test func whoIsRefusedClosesOnlyWhatItOpened() throws {
    try withTemporaryDirectory { path in
      let folder = try EventFolder(path)
      let others = Others()
      let ended = DispatchSemaphore(value: 0)
      Thread.detachNewThread {
        while !others.areDone.load(ordering: .relaxed) {
          let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
          if close(descriptor) != 0 { others.lost.add(1, ordering: .relaxed) }
        }
        ended.signal()
      }
      for _ in 0..<20_000 { #expect(throws: EventFileError.self) { _ = try EventFolder(path) } }
      others.areDone.store(true, ordering: .relaxed)
      ended.wait()
      #expect(others.lost.load(ordering: .relaxed) == 0)
      withExtendedLifetime(folder) {}
    }
  }
}

@Suite("Histograms")
struct HistogramTests {
  @Test func everyFiniteNumberIsInOneBucket() {
    let values = (0..<1000).map { Float($0) / 10 - 20 } + [.nan, .infinity, -.infinity]
    let histogram = Histogram(of: values)
    #expect(histogram.count == 1000)
    #expect(histogram.counts.reduce(0, +) == 1000)
    #expect(histogram.counts.count == Histogram.buckets && histogram.limits.count == Histogram.buckets)
    #expect((histogram.least, histogram.largest) == (-20, Double(Float(999) / 10 - 20)))
    #expect(histogram.limits.last == histogram.largest)
    #expect(histogram.counts.max()! - histogram.counts.min()! <= 1)
    #expect(abs(histogram.sum - 29_950) < 1e-2)
  }

  @Test func equalNumbersAndNoneAreHistogramsToo() {
    let equal = Histogram(of: [3, 3, 3])
    #expect((equal.least, equal.largest, equal.count) == (3, 3, 3))
    #expect(equal.limits == [3] && equal.counts == [3])
    let none = Histogram(of: [.nan])
    #expect(none.count == 0 && none.limits.isEmpty && none.counts.isEmpty)
    #expect((none.least, none.largest) == (0, 0))
  }
}
