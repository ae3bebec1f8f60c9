internal import CZeroMQ
import Glibc
import Numerics

/// Starts a thread of its own for `body`, detached. Sockets and slices block, and would starve Swift's pool of threads.
///
/// - Parameters:
///   - name: for debuggers and `top`; its first 15 bytes count.
///   - standsBack: it computes only where a processor would idle, or nearly so (SCHED_IDLE). A thread cannot leave that
///     again, and a lock that it holds is held long where all processors are busy.
public func startThread(named name: String, standsBack: Bool = false, _ body: @escaping @Sendable () -> Void) {
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
      pthread_setname_np(pthread_self(), String(decoding: work.name.utf8.prefix(15), as: UTF8.self))
      if work.standsBack {
        var none = sched_param()
        // 0 is the calling thread. Where it is forbidden the thread is like any other.
        sched_setscheduler(0, idlePolicy, &none)
      }
      work.run()
      return nil
    }, work.toOpaque())
  invariant(code == 0, "cannot start the thread \(name): \(String(cString: strerror(code)))")
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
