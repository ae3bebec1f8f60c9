import Foundation
import Glibc

/// A process in a session of its own, so that it stays when the terminal and the process that started it are gone.
///
/// Belongs to one thread. Whoever started it may ask how it ended, as long as they are there themselves.
public struct DetachedProcess: ~Copyable {
  public let number: pid_t
  private var end: ProcessEnd?

  /// POSIX_SPAWN_SETSID, which glibc shows to nobody who does not ask for its own extensions.
  private static let newSession: Int16 = 0x80

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
    Self.keepFilesFromOthers()
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Self.newSession)
    // The pointers are the system's: it copies what they point to before it returns.
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") }
    defer { for text in words + variables { free(text) } }
    words.append(nil)
    variables.append(nil)
    var number = pid_t()
    let code = posix_spawn(&number, program, &actions, &attributes, words, variables)
    guard code == 0 else { throw .notStarted(program: program, reason: String(cString: strerror(code))) }
    self.number = number
  }

  /// What else is open here may be somebody's who waits for its end, a shell's pipe for one: no program that this process
  /// starts gets it.
  private static func keepFilesFromOthers() {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
      if let descriptor = CInt(name), descriptor > STDERR_FILENO { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
  }

  /// How it ended; nil while it runs.
  public mutating func ended() -> ProcessEnd? {
    if let end { return end }
    var status: Int32 = 0
    let found = waitpid(number, &status, WNOHANG)
    if found == 0 || found < 0 && errno == EINTR { return nil }
    // A process that cannot be waited for is none of ours any more.
    end = found < 0 ? .code(EXIT_FAILURE) : status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
    return end
  }
}
