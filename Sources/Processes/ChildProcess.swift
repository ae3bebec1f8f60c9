import Glibc
import Synchronization

/// A program that runs beside this one, says what it has to say where this one does, and is to end with it.
public final class ChildProcess: Sendable {
  public let number: pid_t
  private let state: Mutex<State>

  private struct State {
    /// Where it is told something; nil if it has nothing to read, or was told.
    var input: CInt?
    var end: ProcessEnd?
  }

  /// Starts it.
  /// - Parameters:
  ///   - program: its path.
  ///   - arguments: without the program's name.
  ///   - environment: all of it.
  ///   - isTold: whether `tell` will be called; else it reads what this process reads.
  /// - Throws: `ProcessError.notStarted`.
  public init(
    _ program: String, _ arguments: [String], environment: [String: String], isTold: Bool
  ) throws(ProcessError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var ends: [CInt] = [-1, -1]
    if isTold {
      guard pipe(&ends) == 0 else {
        throw .notStarted(program: program, reason: String(cString: strerror(errno)))
      }
      posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO)
    }
    defer { if isTold { close(ends[0]) } }
    do throws(ProcessError) {
      number = try spawn(program, arguments, environment: environment, in: .own, &actions)
    } catch {
      if isTold { close(ends[1]) }
      throw error
    }
    state = Mutex(State(input: isTold ? ends[1] : nil))
  }

  deinit { state.withLock { if let input = $0.input { close(input) } } }

  /// How it ended; nil while it runs.
  public var end: ProcessEnd? { state.withLock { Self.end(of: number, &$0) } }

  private static func end(of number: pid_t, _ state: inout State) -> ProcessEnd? {
    state.end = state.end ?? processEnd(of: number)
    return state.end
  }

  /// Returns when it has ended.
  public func wait() -> ProcessEnd {
    while true {
      // It stays known until `end` asks, so that its number is nobody else's in the meantime.
      var found = siginfo_t()
      _ = waitid(P_PID, id_t(number), &found, WEXITED | WNOWAIT)
      if let end { return end }
    }
  }

  /// Asks it to end.
  public func terminate() {
    state.withLock { if Self.end(of: number, &$0) == nil { kill(number, SIGTERM) } }
  }

  /// Gives it something to read, after which it reads the end of it. Does nothing the second time, or where it has ended.
  /// - Parameter text: less than a pipe holds, 64 KiB.
  public func tell(_ text: String) {
    state.withLock { state in
      guard let input = state.input else { return }
      _ = text.utf8.withContiguousStorageIfAvailable { write(input, $0.baseAddress, $0.count) }
      close(input)
      state.input = nil
    }
  }
}
