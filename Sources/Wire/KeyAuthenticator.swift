internal import CZeroMQ
import Glibc
import Messages
import Numerics
import Synchronization
import Threads

/// Answers libzmq's question, for each connection, whether its key is allowed (ZAP 1.0, RFC 27).
///
/// Its thread ends when the context is shut down; it holds the context's handle, not the context, which waits for it.
final class KeyAuthenticator: Sendable {
  let allowed: AllowedKeys
  /// Shared by the sockets of the context: a worker has one id on all of them.
  let peers = Mutex(PeerKeys())
  private let refused = RefusedKeys()

  /// - Parameter contextHandle: valid until the thread has closed its socket, for which `zmq_ctx_term` waits.
  init(contextHandle: UnsafeMutableRawPointer, allowed: AllowedKeys) throws(WireError) {
    self.allowed = allowed
    guard let socket = zmq_socket(contextHandle, ZMQ_REP) else { throw .lastError(in: "zmq_socket") }
    guard zmq_bind(socket, "inproc://zeromq.zap.01") == 0 else {
      let error = WireError.lastError(in: "zmq_bind(zap)")
      zmq_close(socket)
      throw error
    }
    let address = UInt(bitPattern: socket)
    startThread(named: "massl-keys") { [refused] in
      let socket = UnsafeMutableRawPointer(bitPattern: address)!
      Self.answer(on: socket, allowed: allowed, refused: refused)
      zmq_close(socket)
    }
  }

  /// The keys that were refused since this was last asked, and where they came from.
  func takeRefused() -> [HandshakeFailure] { refused.take() }

  private static func answer(on socket: UnsafeMutableRawPointer, allowed: AllowedKeys, refused: RefusedKeys) {
    while true {
      // version, request id, domain, address, identity, mechanism, then credentials: for CURVE the 32 bytes of its key.
      guard let request = frames(from: socket) else { return }
      guard request.count >= 2 else { continue }
      let key =
        request.count == 7 && request[5] == Array("CURVE".utf8) && request[6].count == 32
        ? PublicKey(bytes: request[6]) : nil
      let isAllowed = key.map(allowed.contains) ?? false
      // Before the answer: the socket hears of the failed handshake after it, and then asks which key it was.
      if let key, !isAllowed { refused.add(.keyNotAllowed(key, from: String(decoding: request[3], as: UTF8.self))) }
      let reply = [
        request[0], request[1], Array((isAllowed ? "200" : "400").utf8),
        Array((isAllowed ? "OK" : "this key is not allowed").utf8), Array((isAllowed ? key!.description : "").utf8), [],
      ]
      for (index, frame) in reply.enumerated() {
        zmq_send(socket, frame, frame.count, index < reply.count - 1 ? ZMQ_SNDMORE : 0)
      }
    }
  }

  /// - Returns: nil once the context is shut down.
  private static func frames(from socket: UnsafeMutableRawPointer) -> [[UInt8]]? {
    var frames: [[UInt8]] = []
    while true {
      let frame = BulkFrame()
      guard zmq_msg_recv(frame.message, socket, 0) >= 0 else {
        if zmq_errno() == EINTR { continue }
        return nil
      }
      frames.append(frame.bytes)
      if zmq_msg_more(frame.message) == 0 { return frames }
    }
  }
}

/// What the authenticator's thread leaves for those of the sockets; those beyond a few are not remembered.
private final class RefusedKeys: Sendable {
  private let failures = Mutex<[HandshakeFailure]>([])

  func add(_ failure: HandshakeFailure) {
    failures.withLock { failures in
      if failures.count < 16, !failures.contains(failure) { failures.append(failure) }
    }
  }

  func take() -> [HandshakeFailure] {
    failures.withLock { failures in
      defer { failures = [] }
      return failures
    }
  }
}
