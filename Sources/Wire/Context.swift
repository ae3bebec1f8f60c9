internal import CZeroMQ
import Glibc
import Messages
import Numerics
import Synchronization
import Threads

/// What a process's sockets have in common: libzmq's I/O threads, and the handler that checks keys.
///
/// Sockets keep it alive; it ends after the last of them. libzmq's contexts may be used from any thread.
///
/// `@unchecked Sendable`: the handle never changes, libzmq's context calls are thread-safe, the rest is behind a mutex.
public final class Context: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  /// Of this context; held apart from it, for to hold a context is to keep it from ending.
  public let end = ContextEnd()
  /// Who may connect with CURVE; set with the first socket that listens so.
  private let authenticator = Mutex<KeyAuthenticator?>(nil)

  /// - Parameter ioThreads: one moves some GB/s; encrypted, some 0.4.
  /// - Throws: `WireError.tooFewDescriptors`, `.tooFewThreads` when the process is out of them.
  public init(ioThreads: Int = 1) throws(WireError) {
    // libzmq stops the program where it finds none for its own threads: those for input and output, and one that closes.
    try ProcessLimits.check(threads: ioThreads + 1)
    try ProcessLimits.check(freeDescriptors: 8 + 4 * ioThreads, for: "ZeroMQ")
    Self.keepFreedMessages
    guard let handle = zmq_ctx_new() else { throw .lastError(in: "zmq_ctx_new") }
    self.handle = handle
    zmq_ctx_set(handle, ZMQ_IO_THREADS, Int32(ioThreads))
    zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, WireLimits.socketsOfAContext)
    // Frames larger than any of ours are refused by every socket; see also ZMQ_MAXMSGSIZE there.
    zmq_ctx_set(handle, ZMQ_MAX_MSGSZ, Int32(WireLimits.frameBytes))
  }

  /// Has malloc, of this whole process, keep the memory of messages that were freed for those that come. Left to itself it
  /// gives the pages of a mebibyte back each time, and the system zeroes others for the next: a tenth and more of what bulk
  /// traffic takes. What is larger than any frame still goes back at once.
  private static let keepFreedMessages: Void = {
    mallopt(M_MMAP_THRESHOLD, Int32(2 * WireLimits.frameBytes))
    mallopt(M_TRIM_THRESHOLD, Int32(64 * WireLimits.frameBytes))
  }()

  /// Wakes every thread that waits on one of the sockets: their calls throw `WireError.closed` from now on.
  public func close() { zmq_ctx_shutdown(handle) }

  /// Starts to check the keys of whoever connects; once for all sockets of this context.
  func authenticate(with allowed: AllowedKeys) throws(WireError) -> KeyAuthenticator {
    let result: Result<KeyAuthenticator, WireError> = authenticator.withLock { authenticator in
      if let authenticator {
        invariant(authenticator.allowed === allowed, "sockets of one context share their allowed keys")
        return .success(authenticator)
      }
      do throws(WireError) {
        let made = try KeyAuthenticator(contextHandle: handle, allowed: allowed)
        authenticator = made
        return .success(made)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  deinit {
    // The authenticator's socket is still open: shutting down makes its thread close it, which zmq_ctx_term waits for.
    zmq_ctx_shutdown(handle)
    while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {}
    end.come()
  }
}

/// When a context has ended: its sockets are closed, and their last words have left, or had a second to do so.
///
/// libzmq's threads send what a socket has taken. A process that ends before they have done so takes its goodbye along.
public struct ContextEnd: Sendable {
  private let ended = BoundedQueue<Never>(capacity: 1)

  public func wait() { _ = ended.next() }

  fileprivate func come() { ended.close() }
}

extension WireError {
  /// What libzmq's last call on this thread came to.
  static func lastError(in call: String) -> WireError {
    let code = zmq_errno()
    return code == ETERM ? .closed : .library(call: call, reason: reason(of: code))
  }

  static func reason(of code: Int32) -> String { String(cString: zmq_strerror(code)) }
}

/// The library behind the sockets.
public enum ZeroMQLibrary {
  /// As it was loaded: "4.3.4".
  public static var version: String {
    var parts: (CInt, CInt, CInt) = (0, 0, 0)
    zmq_version(&parts.0, &parts.1, &parts.2)
    return "\(parts.0).\(parts.1).\(parts.2)"
  }
}
