import Glibc

/// A process in a session of its own, so that it stays when the terminal and the process that started it are gone.
///
/// Belongs to one thread. Whoever started it may ask how it ended, as long as they are there themselves.
public struct DetachedProcess: ~Copyable {
  public let number: pid_t
  private var end: ProcessEnd?

  /// Starts a program with nothing to read, whose standard output and standard error are added to a file.
  ///
  /// - Parameters:
  ///   - program: its path.
  ///   - arguments: without the program's name.
  ///   - environment: all of it.
  ///   - log: the file, made if it is not there.
  /// - Throws: `ProcessError.notStarted`, also where the file cannot be opened.
  public init(
    _ program: String, _ arguments: [String], environment: [String: String], log: String
  ) throws(ProcessError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
    number = try spawn(program, arguments, environment: environment, in: .ownSession, &actions)
  }

  /// How it ended; nil while it runs.
  public mutating func ended() -> ProcessEnd? {
    end = end ?? processEnd(of: number)
    return end
  }
}
