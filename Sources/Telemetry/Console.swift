import Glibc
import Printing
import Synchronization

/// Standard error, shared by log lines and one line of progress.
///
/// On a terminal the progress line is the last one and is rewritten in place; a log line goes above it. Elsewhere, and
/// on a terminal that knows no escape sequences, both are plain lines. What does not show in a line, whoever's name it
/// may be from, is escaped here, so that nothing else has to. A closed standard error is no reason to stop a run, so failed writes are ignored; the
/// program is expected to ignore SIGPIPE.
public final class Console: Sendable {
  private let descriptor: CInt
  /// Whether a person sees lines as they are rewritten: a terminal that can.
  public let isTerminal: Bool
  /// The progress line that stands on the terminal now; empty if none.
  private let shown = Mutex("")

  public static let standardError = Console(descriptor: STDERR_FILENO)
  /// For who has a file instead.
  public static let nowhere = Console(descriptor: -1, isTerminal: false)

  /// - Parameters:
  ///   - isTerminal: whether it is one; by default what the system says of the descriptor.
  ///   - type: the value of `TERM`, by default this process's: `dumb`, or none, knows no escape sequences.
  package init(descriptor: CInt, isTerminal: Bool? = nil, type: String? = getenv("TERM").map { String(cString: $0) }) {
    self.descriptor = descriptor
    let isCapable = type.map { !$0.isEmpty && $0 != "dumb" } ?? false
    self.isTerminal = (isTerminal ?? (isatty(descriptor) == 1)) && isCapable
  }

  /// Columns of the terminal; 80 where it does not say.
  public var width: Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes a line of its own.
  public func write(line: String) {
    let line = line.printable
    shown.withLock { progress in
      put(progress.isEmpty ? line + "\n" : "\r\(Self.clearLine)\(line)\n\(progress)")
    }
  }

  /// Puts a line in the place of the last one shown; elsewhere than on a terminal, writes it.
  public func show(progress line: String) {
    guard isTerminal else { return write(line: line) }
    let line = line.printable
    shown.withLock { progress in
      put("\r\(line)\(Self.clearLine)")
      progress = line
    }
  }

  /// Leaves the progress line standing and goes on below it.
  public func endProgress() {
    shown.withLock { progress in
      if !progress.isEmpty { put("\n") }
      progress = ""
    }
  }

  /// Erases from the cursor to the end of the line.
  private static let clearLine = "\u{1b}[K"

  private func put(_ text: String) { _ = writeAll(Array(text.utf8), to: descriptor) }
}
