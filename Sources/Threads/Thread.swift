import Glibc
import Numerics

/// Starts a thread of its own for `body`, detached. Sockets and slices block, and would starve Swift's pool of threads.
///
/// - Parameters:
///   - name: for debuggers and `top`; its first 15 bytes count.
///   - standsBack: it computes only where a processor would idle, or nearly so (SCHED_IDLE). A thread cannot leave that
///     again, and a lock that it holds is held long where all processors are busy.
///
/// Where none can be started, for some seconds, the process ends with a sentence and exit code 75, as one that is killed:
/// what it is about to do has no place. What has one calls `tryStartThread`.
public func startThread(named name: String, standsBack: Bool = false, _ body: @escaping @Sendable () -> Void) {
  var code: Int32 = 0
  for _ in 0..<startTries {
    code = tryStartThread(named: name, standsBack: standsBack, body)
    if code == 0 { return }
    usleep(startPause)
  }
  let error = TooFewThreads(needed: 1, possible: 0, code: code)
  let line = Array("Error: The thread \(name) cannot be started. \(error)\n".utf8)
  _ = write(STDERR_FILENO, line, line.count)
  _exit(tryAgain)
}

/// Tries to start a thread, and their pause in microseconds: others of this user may just be ending.
private let startTries = 50
private let startPause: UInt32 = 50_000
/// EX_TEMPFAIL.
private let tryAgain: Int32 = 75

/// As `startThread`, but returns why the system refuses: an errno; 0 where the thread runs.
public func tryStartThread(
  named name: String, standsBack: Bool = false, _ body: @escaping @Sendable () -> Void
) -> Int32 {
  let work = Unmanaged.passRetained(ThreadBody(name: name, standsBack: standsBack, run: body))
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  // The same everywhere, whatever ulimit says; deep recursion has no place here.
  pthread_attr_setstacksize(&attributes, 8 << 20)
  var thread = pthread_t()
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      let work = Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue()
      setName(work.name)
      if work.standsBack {
        var none = sched_param()
        // 0 is the calling thread. Where it is forbidden the thread is like any other.
        sched_setscheduler(0, idlePolicy, &none)
      }
      work.run()
      return nil
    }, work.toOpaque())
  if code != 0 { work.release() }
  return code
}

/// Of the calling thread. Glibc's module leaves `pthread_setname_np` out.
private func setName(_ name: String) {
  let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
  guard file >= 0 else { return }
  defer { close(file) }
  let bytes = Array(name.utf8.prefix(15))
  _ = write(file, bytes, bytes.count)
}

/// SCHED_IDLE of Linux, which Glibc's module leaves out.
private let idlePolicy: Int32 = 5

private final class ThreadBody: Sendable {
  let name: String
  let standsBack: Bool
  let run: @Sendable () -> Void

  init(name: String, standsBack: Bool, run: @escaping @Sendable () -> Void) {
    self.name = name
    self.standsBack = standsBack
    self.run = run
  }
}
