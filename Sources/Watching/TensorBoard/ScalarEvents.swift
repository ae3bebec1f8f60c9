import EventFiles
import Foundation

/// The records of `metrics.jsonl` as events, each step of the run once, whatever starts it and this process have seen.
///
/// It reads all records from the first on, and beside them what stands in the folder's files. Where both say the same,
/// nothing is written. Where a record was made at another time than the one that stands there, its step was done again:
/// a new file begins, and says that older ones count no more from there on.
package struct ScalarEvents {
  private let folder: EventFolder
  /// Of so many steps one is written.
  private let every: Int
  /// What stands in the folder and was not compared yet; nil once a file of this process's own is written.
  private var past: PastEvents?
  private var file: EventFile?
  /// Records that are not in the file yet.
  private var pending: [UInt8] = []
  /// The newest step of the folder that the run still has.
  private var agreed = 0
  /// Steps with events of other kinds, oldest first.
  package private(set) var sampled: [Int] = []
  /// The newest step that was read.
  package private(set) var lastStep = 0

  package init(_ folder: EventFolder, every: Int) {
    self.folder = folder
    self.every = every
    past = PastEvents(folder)
  }

  /// Begins with the run's first record again, and with what stands in the folder by now.
  mutating func startOver() { self = ScalarEvents(folder, every: every) }

  /// Whether all that stands in the folder is of this run as it is now, so that something can be added.
  package mutating func isCompared() -> Bool {
    guard let past else { return true }
    passSamples(of: past)
    return past.peek == nil
  }

  /// - Throws: `EventFileError.cannotWrite`.
  package mutating func take(_ line: UnsafeBufferPointer<UInt8>) throws(EventFileError) {
    guard let figures = MetricsLine.figures(of: line), let step = Self.step(in: figures), step > lastStep else {
      return
    }
    lastStep = step
    let time = figures.last { $0.key == "unix_seconds" || $0.key == "time" }?.value ?? 0
    if isInFolder(step, time) || step % every != 0 { return }
    if file == nil { try begin(after: agreed) }
    let scalars = figures.compactMap { key, value in ScalarTag.of(key).map { (tag: $0, value: Float(value)) } }
    pending += StepEvent(wallTime: time, step: step, .scalars(scalars)).record()
  }

  private static func step(in figures: [(key: String, value: Double)]) -> Int? {
    figures.last { $0.key == "step" }.flatMap { Int(exactly: $0.value) }
  }

  /// Whether a record's events stand in the folder, or were left out there.
  private mutating func isInFolder(_ step: Int, _ time: Double) -> Bool {
    guard let past else { return false }
    passSamples(of: past)
    guard let mark = past.peek, mark.step >= step else { return false }
    if mark.step > step { return true }
    guard mark.wallTime == time else { return false }
    agreed = step
    _ = past.next()
    passSamples(of: past)
    return true
  }

  private mutating func passSamples(of past: PastEvents) {
    while let mark = past.peek, mark.kind == .others {
      note(mark)
      _ = past.next()
    }
  }

  private mutating func note(_ mark: PastEvents.Mark) {
    if mark.kind == .others, mark.step > sampled.last ?? -1 { sampled.append(mark.step) }
  }

  /// Begins a file from which on older ones say nothing of steps after `step`; after step 0, nothing at all.
  private mutating func begin(after step: Int) throws(EventFileError) {
    // A checkpoint's histograms come some steps after its figures: those that still count may be left.
    while let mark = past?.next() { note(mark) }
    past = nil
    file = try folder.begin(at: step == 0 ? 0 : step + 1, wallTime: Date().timeIntervalSince1970)
    sampled = step == 0 ? [] : sampled.filter { $0 <= step }
  }

  /// Puts what is pending into the file.
  /// - Throws: `EventFileError.cannotWrite`; then start over.
  package mutating func flush() throws(EventFileError) {
    guard let file, !pending.isEmpty else { return }
    try file.append(pending)
    pending.removeAll(keepingCapacity: true)
  }

  /// Adds events of other kinds, of a step that was read, or of step 0.
  /// - Precondition: `isCompared()`.
  /// - Throws: `EventFileError.cannotWrite`; then start over.
  package mutating func add(_ events: [StepEvent], of step: Int) throws(EventFileError) {
    if file == nil { try begin(after: lastStep) }
    for event in events { pending += event.record() }
    try flush()
    sampled.append(step)
  }
}
