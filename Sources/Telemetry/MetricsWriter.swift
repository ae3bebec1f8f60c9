import Glibc

/// What is known of a step, as one line.
public protocol StepRecord: Sendable {
  /// One JSON object without a newline, whose first key is `step`: `{"step":17,...}`.
  func json() -> String
}

/// `metrics.jsonl`: one record a step, in order, whatever starts and rollbacks the run has seen. `evaluations.jsonl`
/// likewise, of some steps.
///
/// Opened at a resumed step, it moves the records beyond that step, and whatever a crash left half-written at the
/// end, to `metrics.jsonl.INCARNATION.aside`: those steps are about to be done again. The rest becomes a file of its own
/// in the old one's place, so that a coordinator that hung, or that no lock kept out, adds its last record to a file that
/// nobody reads. A record is one `write` at the file's end, so a reader never sees two mixed. Records are not fsynced:
/// what a power cut takes, the next start's reader of the file lacks, and no more.
///
/// Belongs to one thread.
public final class MetricsWriter {
  private let file: AppendedFile
  /// Whether the last record was cut off, by a full disk for one: the next then begins on a line of its own.
  private var lineIsTorn = false

  /// - Parameters:
  ///   - path: of the file; created if there is none.
  ///   - step: steps done, by the checkpoint that is resumed; 0 for a new run.
  ///   - incarnation: of this start, in the name of the file with what is set aside.
  /// - Throws: `TelemetryError`, the file as it was.
  /// - Complexity: reads the file once, a mebibyte at a time.
  public init(path: String, resumingAt step: Int, incarnation: UInt64) throws(TelemetryError) {
    if let size = regularFileSize(path) {
      let kept = try Self.bytesKept(of: path, upTo: step)
      if kept < size { try Self.copy(path, kept..<size, to: "\(path).\(incarnation).aside") }
      let own = "\(path).tmp"
      unlink(own)
      try Self.copy(path, 0..<kept, to: own)
      guard rename(own, path) == 0 else { throw .cannotWrite(file: path, reason: lastSystemError()) }
    }
    file = try AppendedFile(path: path)
  }

  /// Adds a step's record.
  public func append(_ record: some StepRecord) throws(TelemetryError) {
    let line = (lineIsTorn ? "\n" : "") + record.json() + "\n"
    lineIsTorn = true
    try file.append(line.utf8)
    lineIsTorn = false
  }
}

// MARK: - Resuming

extension MetricsWriter {
  /// The length of the part that stays: whole lines, up to the first of a step beyond `step`.
  private static func bytesKept(of path: String, upTo step: Int) throws(TelemetryError) -> Int {
    var kept = 0
    var line: [UInt8] = []
    let reader = try ReadFile(path: path)
    while let chunk = try reader.next() {
      for byte in chunk {
        line.append(byte)
        guard byte == UInt8(ascii: "\n") else { continue }
        // A line in the middle that is no record was cut off and is followed by whole ones: it stays.
        if let found = stepNumber(of: line), found > step { return kept }
        kept += line.count
        line.removeAll(keepingCapacity: true)
      }
    }
    return kept
  }

  /// The number after `{"step":`; nil for any other line.
  private static func stepNumber(of line: [UInt8]) -> Int? {
    let start = Array("{\"step\":".utf8)
    guard line.starts(with: start) else { return nil }
    let digits = line[start.count...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    return Int(String(decoding: digits, as: UTF8.self))
  }

  /// Adds these bytes of a file to another; durable when it returns.
  private static func copy(_ path: String, _ range: Range<Int>, to other: String) throws(TelemetryError) {
    let reader = try ReadFile(path: path, from: range.lowerBound)
    let writer = try AppendedFile(path: other)
    var left = range.count
    while left > 0, let chunk = try reader.next() {
      try writer.append(chunk.prefix(left))
      left -= min(left, chunk.count)
    }
    try writer.synchronize()
  }
}

/// Nil where there is no file, or something else than one, a device say.
private func regularFileSize(_ path: String) -> Int? {
  var status = stat()
  guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
  return Int(status.st_size)
}

/// A file read from some place to its end.
private struct ReadFile: ~Copyable {
  private let path: String
  private let descriptor: CInt

  init(path: String, from offset: Int = 0) throws(TelemetryError) {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw .cannotOpen(file: path, reason: lastSystemError()) }
    if lseek(descriptor, off_t(offset), SEEK_SET) < 0 { throw .cannotRead(file: path, reason: lastSystemError()) }
  }

  deinit { close(descriptor) }

  /// The next mebibyte or less; nil at the end.
  func next() throws(TelemetryError) -> [UInt8]? {
    var count = 0
    let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 20) { buffer, initialized in
      count = read(descriptor, buffer.baseAddress!, buffer.count)
      initialized = max(0, count)
    }
    if count < 0 { throw .cannotRead(file: path, reason: lastSystemError()) }
    return count == 0 ? nil : chunk
  }
}
