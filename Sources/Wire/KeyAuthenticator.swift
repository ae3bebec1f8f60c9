internal import CZeroMQ
import Glibc
import Numerics

/// Answers libzmq's question, for each connection, whether its key is allowed (ZAP 1.0, RFC 27).
///
/// Its thread ends when the context is shut down; it holds the context's handle, not the context, which waits for it.
final class KeyAuthenticator: Sendable {
  let allowed: AllowedKeys

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
    startThread(named: "massl-keys") {
      let socket = UnsafeMutableRawPointer(bitPattern: address)!
      Self.answer(on: socket, allowed: allowed)
      zmq_close(socket)
    }
  }

  private static func answer(on socket: UnsafeMutableRawPointer, allowed: AllowedKeys) {
    while true {
      // version, request id, domain, address, identity, mechanism, then credentials: for CURVE the 32 bytes of its key.
      guard let request = frames(from: socket) else { return }
      guard request.count >= 2 else { continue }
      let key =
        request.count == 7 && request[5] == Array("CURVE".utf8) && request[6].count == 32
        ? PublicKey(bytes: request[6]) : nil
      let isAllowed = key.map(allowed.contains) ?? false
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
