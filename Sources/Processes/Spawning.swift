import Foundation
import Glibc

/// POSIX_SPAWN_SETSID, which glibc shows to nobody who does not ask for its own extensions.
private let newSession: Int16 = 0x80

/// Starts a program in a session of its own.
/// - Parameter actions: what it gets for standard input, output and errors; of all other files it gets none.
func spawnInSession(
  _ program: String, _ arguments: [String], environment: [String: String],
  _ actions: inout posix_spawn_file_actions_t
) throws(ProcessError) -> pid_t {
  keepFilesFromOthers()
  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  posix_spawnattr_setflags(&attributes, newSession)
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
