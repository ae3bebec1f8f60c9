internal import CZeroMQ
import Glibc
import Numerics

/// Wakes a thread that waits for its socket: an eventfd that it polls beside.
public final class Waker: Sendable {
  let descriptor: Int32

  /// - Throws: `WireError.library` when the process is out of file descriptors.
  public init() throws(WireError) {
    descriptor = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
    guard descriptor >= 0 else { throw .library(call: "eventfd", reason: String(cString: strerror(errno))) }
  }

  deinit { Glibc.close(descriptor) }

  /// Ends the wait that runs now, or else the next one. From any thread.
  public func wake() {
    // Fails only when 2^64 - 1 wakes are pending: then the waiter wakes anyway.
    _ = eventfd_write(descriptor, 1)
  }

  /// Forgets the wakes so far. By the thread that waits, before it looks for what it was woken for.
  func reset() {
    var count: eventfd_t = 0
    _ = eventfd_read(descriptor, &count)
  }
}
