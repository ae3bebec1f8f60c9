import Glibc
import Messages

/// A TCP connection that sends whatever bytes a test likes, past all that libzmq would check.
///
/// Closed when nobody holds it any more, which throws away what the other side has not read.
public final class RawPeer {
  /// Nobody listens there, or the process has no descriptor left.
  public struct NotConnected: Error { let code: Int32 }

  private let descriptor: Int32

  /// - Parameter receiveBuffer: bytes that the system takes for it before the other side has to wait; its own choice,
  ///   up to megabytes, if nil.
  public init(to endpoint: Endpoint, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(endpoint.port).bigEndian
    address.sin_addr.s_addr = inet_addr(endpoint.host)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw NotConnected(code: errno) }
  }

  deinit { close(descriptor) }

  /// - Returns: whether the system took all of it; it does not once the other side hung up.
  @discardableResult
  public func send(_ bytes: [UInt8]) -> Bool {
    Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// Whether the other side closes the connection within so many milliseconds.
  public func isHungUpOn(within milliseconds: Int = 2000) -> Bool {
    var patience = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout.size(ofValue: patience)))
    var bytes = [UInt8](repeating: 0, count: 256)
    while true {
      let count = recv(descriptor, &bytes, bytes.count, 0)
      if count <= 0 { return count == 0 || errno == ECONNRESET }
    }
  }

  /// Says hello in ZMTP 3.0 as a dealer without keys.
  public func shakeHands(routingID: [UInt8]) {
    let mechanism = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)
    send([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0] + mechanism + [UInt8](repeating: 0, count: 32))
    // libzmq trips over a peer that does not wait for its greeting.
    var greeting = [UInt8](repeating: 0, count: 64)
    _ = recv(descriptor, &greeting, greeting.count, Int32(MSG_WAITALL))
    func property(_ name: String, _ value: [UInt8]) -> [UInt8] {
      [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.count)] + value
    }
    let ready =
      [5] + Array("READY".utf8) + property("Socket-Type", Array("DEALER".utf8)) + property("Identity", routingID)
    send([4, UInt8(ready.count)] + ready)
  }

  public func shakeHands(as peer: PeerID) {
    shakeHands(routingID: [UInt8(ascii: "M")] + withUnsafeBytes(of: peer.rawValue.bigEndian) { Array($0) })
  }

  /// One frame; `announcing` another size than it has, if given.
  @discardableResult
  public func send(frame: [UInt8], more: Bool = false, announcing size: UInt64? = nil) -> Bool {
    let length = withUnsafeBytes(of: (size ?? UInt64(frame.count)).bigEndian) { Array($0) }
    return send([2 | (more ? 1 : 0)] + length + frame)
  }
}
