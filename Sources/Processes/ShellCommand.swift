import Foundation
import Glibc

/// A command of the user's, run by the shell in a session of its own, and waited for with an end.
public struct ShellCommand: Sendable {
  /// What became of it.
  public enum Outcome: Equatable, Sendable {
    case done
    /// The last line that it wrote to standard error; nil if there is none.
    case failed(ProcessEnd, said: String?)
    /// It was still running, and was killed with all that it started.
    case tookTooLong
  }

  /// What a command may be given to read: a pipe holds twice as much, so that nobody waits for it to be read.
  public static let inputBytes = 32 << 10
  private static let shell = "/bin/sh"
  /// Kept of what it says.
  private static let saidBytes = 4096
  /// From one look to the next, in seconds.
  private static let pause = 0.02
  /// From the signal that asks it to end to the one that ends it, in seconds.
  private static let farewell = 1.0

  public let command: String

  public init(_ command: String) { self.command = command }

  /// Runs it, and returns when it has ended. Its standard output is thrown away.
  /// - Parameters:
  ///   - input: what it may read, cut to `inputBytes`.
  ///   - variables: of its environment, beside those of this process.
  ///   - seconds: that it has.
  /// - Throws: `ProcessError.notStarted`.
  public func run(input: String, variables: [String: String], within seconds: Double) throws(ProcessError) -> Outcome {
    let (errors, process) = try start(Array(input.utf8.prefix(Self.inputBytes)), variables)
    defer { close(errors) }
    var said: [UInt8] = []
    let deadline = Date() + seconds
    while Date() < deadline {
      Self.take(errors, &said)
      if let end = processEnd(of: process) {
        Self.take(errors, &said)
        return end == .code(0) ? .done : .failed(end, said: Self.lastLine(of: said))
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
    kill(-process, SIGTERM)
    let last = Date() + Self.farewell
    while processEnd(of: process) == nil {
      if Date() > last { kill(-process, SIGKILL) }
      Thread.sleep(forTimeInterval: Self.pause)
    }
    // What it started may have stayed.
    kill(-process, SIGKILL)
    return .tookTooLong
  }

  /// - Returns: where its errors are read, without waiting, and its number.
  private func start(_ input: [UInt8], _ variables: [String: String]) throws(ProcessError) -> (CInt, pid_t) {
    var (source, errors): ([CInt], [CInt]) = ([-1, -1], [-1, -1])
    guard pipe(&source) == 0, pipe(&errors) == 0 else {
      let reason = String(cString: strerror(errno))
      for end in source + errors where end >= 0 { close(end) }
      throw .notStarted(program: Self.shell, reason: reason)
    }
    defer { for end in [source[0], errors[1]] { close(end) } }
    _ = fcntl(errors[0], F_SETFL, O_NONBLOCK)
    _ = write(source[1], input, input.count)
    close(source[1])
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, source[0], STDIN_FILENO)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, errors[1], STDERR_FILENO)
    let environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
    do throws(ProcessError) {
      return (
        errors[0], try spawn(Self.shell, ["-c", command], environment: environment, in: .ownSession, &actions)
      )
    } catch {
      close(errors[0])
      throw error
    }
  }

  /// Adds what it has said by now, and keeps the end of it.
  private static func take(_ errors: CInt, _ said: inout [UInt8]) {
    var bytes = [UInt8](repeating: 0, count: saidBytes)
    while true {
      let count = read(errors, &bytes, bytes.count)
      guard count > 0 else { return }
      said = Array((said + bytes.prefix(count)).suffix(saidBytes))
    }
  }

  private static func lastLine(of said: [UInt8]) -> String? {
    said.split(separator: UInt8(ascii: "\n")).last.map { String(decoding: $0, as: UTF8.self) }
  }
}
