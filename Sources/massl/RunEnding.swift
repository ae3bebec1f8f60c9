import Foundation
import Glibc
import Synchronization
import Threads
import Watching

/// How the process that keeps a run going ended, said over a pipe: its exit code and why, on one line. A pipe that ends
/// without that line is a process that was killed.
final class RunEnding: Sendable {
  private let found = Mutex<RunEvents.End?>(nil)

  /// Reads standard input, in a thread of its own.
  init() {
    startThread(named: "massl-ending") { [self] in
      var line: [UInt8] = []
      var bytes = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = read(STDIN_FILENO, &bytes, bytes.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        line = Array((line + bytes.prefix(count)).prefix(1 << 16))
      }
      let end = Self.end(of: String(decoding: line, as: UTF8.self))
      found.withLock { $0 = end }
    }
  }

  /// Nil as long as it runs.
  var end: RunEvents.End? { found.withLock { $0 } }

  /// What is said: see `end(of:)`.
  static func line(_ status: ExitStatus, _ why: String?) -> String {
    "\(status.rawValue) \((why ?? "").replacing("\n", with: " "))\n"
  }

  private static func end(of line: String) -> RunEvents.End {
    let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    guard line.hasSuffix("\n"), let code = Int(words[0]), words.count == 2 else { return .withoutWord }
    let why = words[1].trimmingCharacters(in: .newlines)
    return .code(code, why.isEmpty ? nil : why)
  }
}
