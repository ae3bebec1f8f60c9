internal import CZeroMQ
import Glibc
import Numerics

/// Starts a thread of its own for `body`, detached. Sockets and slices block, and would starve Swift's pool of threads.
///
/// - Parameter name: for debuggers and `top`; its first 15 bytes count.
public func startThread(named name: String, _ body: @escaping @Sendable () -> Void) {
  let work = Unmanaged.passRetained(ThreadBody(name: name, run: body))
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
      work.run()
      return nil
    }, work.toOpaque())
  invariant(code == 0, "cannot start the thread \(name): \(String(cString: strerror(code)))")
}

private final class ThreadBody: Sendable {
  let name: String
  let run: @Sendable () -> Void

  init(name: String, run: @escaping @Sendable () -> Void) {
    self.name = name
    self.run = run
  }
}
