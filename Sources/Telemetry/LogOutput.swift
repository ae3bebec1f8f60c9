import Glibc
import Logging
import Printing
import Synchronization

/// Where log lines go: the console, and a file in the run directory once that is known.
public final class LogOutput: Sendable {
  private let console: Console
  private let file = Mutex<OpenLog>(OpenLog())

  /// A log's file, and whether its trouble has been told.
  private struct OpenLog: ~Copyable {
    var file: RotatingFile?
    var isFailing = false
  }

  public init(console: Console = .standardError) {
    self.console = console
  }

  /// From now on writes to a file too: 16 MiB at most, and the four before it.
  public func attach(file path: String) throws(TelemetryError) {
    try attach(file: path, bytesAtMost: 16 << 20, olderKept: 4)
  }

  package func attach(file path: String, bytesAtMost: Int, olderKept: Int) throws(TelemetryError) {
    let opened = try RotatingFile(path: path, bytesAtMost: bytesAtMost, olderKept: olderKept)
    replace(with: opened)
  }

  private func replace(with opened: consuming RotatingFile) {
    // Moved through an optional: a closure may not consume what it captures.
    var slot: RotatingFile? = consume opened
    file.withLock { $0.file = slot.take() }
  }

  /// Writes a line; what does not show in it is escaped. A file that takes none is told of once on the console, and tried again with each line.
  public func write(line: String) {
    console.write(line: line)
    writeToFile(line: line)
  }

  /// Writes what the console hears of in another way.
  public func note(level: Logger.Level, label: String, _ text: String) {
    writeToFile(line: LogLine.render(time: LogLine.now, level: level, label: label, message: text, values: [:]))
  }

  private func writeToFile(line: String) {
    let trouble: TelemetryError? = file.withLock { log in
      do throws(TelemetryError) {
        try log.file?.append(line: line.printable)
        log.isFailing = false
        return nil
      } catch {
        defer { log.isFailing = true }
        return log.isFailing ? nil : error
      }
    }
    if let trouble { console.write(line: "\(trouble) The log goes on here.") }
  }
}

// MARK: - swift-log

extension LogOutput {
  /// Makes this the output of every `Logger` of the process. Once a process.
  public func start(level: Logger.Level) {
    LoggingSystem.bootstrap { label in RunLogHandler(output: self, label: label, logLevel: level) }
  }
}

/// Log lines as people read them: time (UTC), level, message, then `key=value`.
package struct RunLogHandler: LogHandler {
  private let output: LogOutput
  private let label: String
  package var logLevel: Logger.Level
  package var metadata: Logger.Metadata = [:]

  package init(output: LogOutput, label: String, logLevel: Logger.Level) {
    self.output = output
    self.label = label
    self.logLevel = logLevel
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    let values = metadata.merging(event.metadata ?? [:]) { _, ofEvent in ofEvent }
    output.write(
      line: LogLine.render(
        time: LogLine.now, level: event.level, label: label, message: event.message.description, values: values))
  }
}

/// A log line's text.
package enum LogLine {
  package static func render(
    time: String, level: Logger.Level, label: String, message: String, values: Logger.Metadata
  ) -> String {
    let pairs = values.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    // One event is one line, whatever a peer or a file name put in its text.
    let text = (message + pairs).split(omittingEmptySubsequences: true) { $0.isNewline }.joined(separator: " | ")
    return "\(time) \(level.rawValue) \(label): \(text)"
  }

  static var now: String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return timestamp(seconds: now.tv_sec, nanoseconds: now.tv_nsec)
  }

  /// "2026-11-24T09:41:05.123Z".
  package static func timestamp(seconds: Int, nanoseconds: Int) -> String {
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    func digits(_ value: some BinaryInteger, _ count: Int) -> String {
      let text = "\(value)"
      return String(repeating: "0", count: max(0, count - text.count)) + text
    }
    let day = "\(parts.tm_year + 1900)-\(digits(parts.tm_mon + 1, 2))-\(digits(parts.tm_mday, 2))"
    let clock = "\(digits(parts.tm_hour, 2)):\(digits(parts.tm_min, 2)):\(digits(parts.tm_sec, 2))"
    return "\(day)T\(clock).\(digits(nanoseconds / 1_000_000, 3))Z"
  }
}
