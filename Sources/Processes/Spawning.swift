import Foundation
import Glibc

/// POSIX_SPAWN_SETSID, which glibc shows to nobody who does not ask for its own extensions.
private let newSession: Int16 = 0x80

/// What a terminal's signals reach.
enum ProcessGroup {
  /// Of its own, at the same terminal: whoever presses Ctrl-C ends the process that started it, and that one ends it.
  case own
  /// In a session of its own, which no terminal can end.
  case ownSession

  fileprivate var flag: Int16 {
    switch self {
    case .own: Int16(POSIX_SPAWN_SETPGROUP)
    case .ownSession: newSession
    }
  }
}

/// Starts a program.
///
/// Not with Foundation's `Process`: to find what it has to close, that one copies 256 bytes for each name in
/// /proc/self/fd. In a process with some 1,400 descriptors, as a coordinator of many workers is one, it reads past the end
/// of what the system listed.
/// - Parameter actions: what it gets for standard input, output and errors; of all other files it gets none.
func spawn(
  _ program: String, _ arguments: [String], environment: [String: String], in group: ProcessGroup,
  _ actions: inout posix_spawn_file_actions_t
) throws(ProcessError) -> pid_t {
  keepFilesFromOthers()
  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  posix_spawnattr_setflags(
    &attributes, group.flag | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
  // Some threads hold signals back, and this process ignores SIGPIPE: what it starts begins as a shell would start it.
  var signals = sigset_t()
  sigemptyset(&signals)
  posix_spawnattr_setsigmask(&attributes, &signals)
  sigaddset(&signals, SIGPIPE)
  posix_spawnattr_setsigdefault(&attributes, &signals)
  // The pointers are the system's: it copies what they point to before it returns.
  var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
  var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") }
  defer { for text in words + variables { free(text) } }
  words.append(nil)
  variables.append(nil)
  var number = pid_t()
  let code = posix_spawn(&number, program, &actions, &attributes, words, variables)
  guard code == 0 else { throw .notStarted(program: program, reason: String(cString: strerror(code))) }
  return number
}

/// What else is open here may be somebody's who waits for its end, a shell's pipe for one: no program that this process
/// starts gets it.
private func keepFilesFromOthers() {
  for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
    if let descriptor = CInt(name), descriptor > STDERR_FILENO { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
  }
}

/// How a process that this one started ended; nil while it runs. Once it has said so, nobody may ask again.
func processEnd(of number: pid_t) -> ProcessEnd? {
  var status: Int32 = 0
  let found = waitpid(number, &status, WNOHANG)
  if found == 0 || found < 0 && errno == EINTR { return nil }
  // A process that cannot be waited for is none of ours any more.
  return found < 0 ? .code(EXIT_FAILURE) : status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
}
