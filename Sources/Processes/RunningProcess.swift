import Foundation
import Glibc

/// A process of this machine, which no later one with the same number can be taken for.
///
///     if let process = RunningProcess(1234) { try process.send(SIGTERM) }
public struct RunningProcess: Equatable, Sendable {
  public let number: pid_t
  /// When it was started, in the kernel's ticks since the machine was: a later process of this number has another.
  private let start: UInt64

  /// Nil if no such process runs, or it has ended and only its parent has not yet asked how.
  public init?(_ number: pid_t) {
    guard let line = FileManager.default.contents(atPath: "/proc/\(number)/stat"),
      let (state, start) = Self.stateAndStart(of: String(decoding: line, as: UTF8.self)), !["Z", "X"].contains(state)
    else { return nil }
    self.number = number
    self.start = start
  }

  /// This process.
  public static var current: RunningProcess? { RunningProcess(getpid()) }

  public var isRunning: Bool { RunningProcess(number) == self }

  /// The third and the 22nd word of `/proc/N/stat`. The second is the program's name between brackets, with any character
  /// in it.
  package static func stateAndStart(of line: String) -> (state: String, start: UInt64)? {
    guard let end = line.lastIndex(of: ")") else { return nil }
    let words = line[line.index(after: end)...].split(whereSeparator: \.isWhitespace)
    guard words.count > 19, let start = UInt64(words[19]) else { return nil }
    return (String(words[0]), start)
  }
}

// MARK: - What may be done to it

extension RunningProcess {
  /// - Throws: `ProcessError.foreign` if it is another user's; `.ended` if it has ended.
  public func send(_ signal: CInt) throws(ProcessError) {
    // Between the look and the call there is one system call: no number comes round again in that time.
    guard isRunning else { throw .ended(number) }
    guard kill(number, signal) == 0 else {
      throw errno == EPERM ? .foreign(number, owner: owner) : .ended(number)
    }
  }

  /// The file that takes its standard error; nil if that is a terminal or a pipe, or the process is another user's.
  public var logFile: String? {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    guard readlink("/proc/\(number)/fd/\(STDERR_FILENO)", &path, path.count - 1) > 0 else { return nil }
    let file = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var status = stat()
    return stat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? file : nil
  }

  private var owner: String? {
    var status = stat()
    guard stat("/proc/\(number)", &status) == 0 else { return nil }
    guard let entry = getpwuid(status.st_uid) else { return "\(status.st_uid)" }
    return String(cString: entry.pointee.pw_name)
  }
}
