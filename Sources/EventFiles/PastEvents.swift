internal import CMessages
internal import CProtobufC
import Glibc

/// What a folder's files of ours say that still counts, read from the first file to the last.
///
///     let past = PastEvents(folder)
///     while let mark = past.next() { ... }
///
/// A file counts up to its first record that is damaged, and where a later file counts it counts no more.
public final class PastEvents {
  /// What a record is about.
  public struct Mark: Sendable, Equatable {
    public enum Kind: Sendable { case scalars, others }
    public var kind: Kind
    public var step: Int
    public var wallTime: Double
  }

  /// Those that are left, newest first, and the step from which on each no longer counts.
  private var files: [(path: String, end: Int)] = []
  private var file: UnsafeMutablePointer<FILE>?
  private var end = 0
  private var following: Mark?

  public init(_ folder: EventFolder) {
    var end = Int.max
    for path in folder.files.reversed() {
      guard let start = Self.start(of: path) else { continue }
      files.append((path, end))
      end = min(end, start)
    }
    following = read()
  }

  deinit { if let file { fclose(file) } }

  /// The next one, which stays.
  public var peek: Mark? { following }

  public func next() -> Mark? {
    let mark = following
    if mark != nil { following = read() }
    return mark
  }

  private func read() -> Mark? {
    while true {
      guard let file else {
        guard let next = files.popLast() else { return nil }
        file = fopen(next.path, "re")
        end = next.end
        continue
      }
      guard let record = EventRecord.next(in: file) else {
        fclose(file)
        self.file = nil
        continue
      }
      if let mark = Self.event(record, { Self.mark(of: $0) }), mark.step < end { return mark }
    }
  }

  /// From which step on a file counts; nil of one whose begin is damaged.
  private static func start(of path: String) -> Int? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    guard EventRecord.next(in: file) != nil, let record = EventRecord.next(in: file) else { return nil }
    return event(record) { event in
      event.what_case == TENSORFLOW__EVENT__WHAT_SESSION_LOG ? Int(event.step) : nil
    }
  }

  private static func mark(of event: Tensorflow__Event) -> Mark? {
    guard event.what_case == TENSORFLOW__EVENT__WHAT_SUMMARY, event.summary.pointee.n_value > 0,
      let value = event.summary.pointee.value[0]
    else { return nil }
    return Mark(
      kind: value.pointee.value_case == TENSORFLOW__SUMMARY__VALUE__VALUE_SIMPLE_VALUE ? .scalars : .others,
      step: Int(event.step), wallTime: event.wall_time)
  }

  private static func event<Result>(_ record: [UInt8], _ body: (Tensorflow__Event) -> Result?) -> Result? {
    guard let event = tensorflow__event__unpack(nil, record.count, record) else { return nil }
    defer { tensorflow__event__free_unpacked(event, nil) }
    return body(event.pointee)
  }
}
