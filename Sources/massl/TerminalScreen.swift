import Foundation
import Glibc
import Watching

/// A terminal that is taken over whole, and given back as it was. One a process.
///
/// A frame is one write of the lines that changed, so that nothing flickers.
final class TerminalScreen {
  enum Event {
    /// The time is over, or the terminal has another size.
    case nothing
    case leave
  }

  private static let pipe = SignalPipe()
  private static let leaving = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
  private static let (controlC, controlZ, controlL): (UInt8, UInt8, UInt8) = (3, 26, 12)

  // Another screen, which scrolls nothing away; no cursor; lines that are too long are cut. And all of it back.
  private static let enter = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J"
  private static let giveBack = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l"

  private let before: termios
  private var shown: [String] = []
  private var shownSize: (columns: Int, rows: Int) = (0, 0)
  /// Whether somebody else has the terminal, until the shell lets this process go on.
  private var isSuspended = false
  private let hasColours = ProcessInfo.processInfo.environment["NO_COLOR"]?.isEmpty ?? true
  /// Whether it shows other characters than ASCII, by the locale.
  let isUnicode: Bool

  /// Takes the terminal over; nil where standard input and output are none, or one that knows no escape sequences.
  init?() {
    let type = ProcessInfo.processInfo.environment["TERM"] ?? ""
    guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, !type.isEmpty, type != "dumb" else { return nil }
    var before = termios()
    guard tcgetattr(STDIN_FILENO, &before) == 0 else { return nil }
    self.before = before
    let environment = ProcessInfo.processInfo.environment
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { environment[$0] }.first { !$0.isEmpty }
    isUnicode = locale?.lowercased().contains("utf") ?? false
    for number in Self.leaving + [SIGWINCH, SIGCONT] {
      signal(number) { number in
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(TerminalScreen.pipe.write, &byte, 1)
      }
    }
    takeOver()
  }

  private func takeOver() {
    var raw = before
    // Keys come one by one and are not shown; Ctrl-C and Ctrl-Z are keys.
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
    raw.c_iflag &= ~tcflag_t(IXON)
    tcsetattr(STDIN_FILENO, TCSANOW, &raw)
    put(Self.enter)
    (shown, isSuspended) = ([], false)
  }

  /// Gives the terminal back.
  func restore() {
    guard !isSuspended else { return }
    put(Self.giveBack)
    var before = before
    tcsetattr(STDIN_FILENO, TCSANOW, &before)
  }

  /// Columns and rows; 80 by 24 where it does not say.
  var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }
}

// MARK: - Showing

extension TerminalScreen {
  /// Shows lines, of which there are as many as rows at most.
  func show(_ lines: [ScreenLine]) {
    guard !isSuspended else { return }
    let size = size
    if size != shownSize { (shown, shownSize) = ([], size) }
    let texts = lines.prefix(size.rows).map { text(of: $0) }
    var frame = shown.isEmpty ? "\u{1b}[2J" : ""
    for (row, text) in texts.enumerated() where row >= shown.count || shown[row] != text {
      frame += "\u{1b}[\(row + 1);1H\(text)"
      // Behind a full line the cursor stands on its last character.
      if lines[row].text.count < size.columns { frame += "\u{1b}[K" }
    }
    if texts.count < shown.count { frame += "\u{1b}[\(texts.count + 1);1H\u{1b}[J" }
    shown = texts
    if !frame.isEmpty { put(frame) }
  }

  private func text(of line: ScreenLine) -> String {
    guard hasColours else { return line.text }
    return line.pieces.map { piece in
      let code =
        switch piece.style {
        case .plain: ""
        case .title: "1"
        case .faint: "2"
        case .good: "32"
        case .notable: "33"
        case .bad: "1;31"
        }
      return code.isEmpty ? piece.text : "\u{1b}[\(code)m\(piece.text)\u{1b}[0m"
    }.joined()
  }

  /// A terminal that takes nothing any more is gone: then a signal, or the end of its keys, says so.
  private func put(_ text: String) {
    let bytes = Array(text.utf8)
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress! + written, $0.count - written) }
      if count < 0, errno == EINTR || errno == EAGAIN {
        var end = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
        _ = poll(&end, 1, 1000)
        continue
      }
      guard count > 0 else { return }
      written += count
    }
  }
}

// MARK: - Waiting

extension TerminalScreen {
  /// Waits for a key, a signal, or the time's end.
  func wait(seconds: Double) -> Event {
    var ends = [
      pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
      pollfd(fd: Self.pipe.read, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&ends, 2, CInt(seconds * 1000)) > 0 else { return .nothing }
    if ends[1].revents != 0 {
      var numbers = [UInt8](repeating: 0, count: 64)
      let count = read(Self.pipe.read, &numbers, numbers.count)
      let come = numbers.prefix(max(0, count)).map { CInt($0) }
      if come.contains(where: Self.leaving.contains) { return .leave }
      // A shell that let it stand may have changed everything.
      if come.contains(SIGCONT) { takeOver() }
    }
    if ends[0].revents != 0 {
      var keys = [UInt8](repeating: 0, count: 64)
      let count = read(STDIN_FILENO, &keys, keys.count)
      // Nobody types any more: the terminal is gone.
      guard count > 0 else { return .leave }
      for key in keys.prefix(count) {
        switch key {
        case UInt8(ascii: "q"), UInt8(ascii: "Q"), Self.controlC: return .leave
        case Self.controlZ: suspend()
        case Self.controlL: shown = []
        default: break
        }
      }
    }
    return .nothing
  }

  /// Ctrl-Z: stands still, on the terminal as it was, until the shell lets it go on, which is a signal.
  private func suspend() {
    restore()
    isSuspended = true
    kill(0, SIGTSTP)
  }
}
