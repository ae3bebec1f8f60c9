import Foundation
import Glibc
import Messages
import Synchronization

/// A TCP server that does whatever a test likes with those who connect, past all that libzmq would do.
///
/// Nobody is let in any more once nobody holds it; connections end with what the test does there.
public final class RawListener: Sendable {
  private let descriptor: Int32
  public let endpoint: Endpoint
  /// How many connected.
  public var connections: Int { count.value.withLock { $0 } }
  private let count = Count()

  private final class Count: Sendable { let value = Mutex(0) }

  /// - Parameter serve: called with each connection, in a thread of its own; the connection ends when it returns.
  public init(_ serve: @escaping @Sendable (RawConnection) -> Void) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let isListening = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isListening else { throw RawPeer.NotConnected(code: errno) }
    endpoint = try Endpoint("tcp://127.0.0.1:\(UInt16(bigEndian: address.sin_port))")
    Thread.detachNewThread { [count] in
      while true {
        let accepted = accept(descriptor, nil, nil)
        guard accepted >= 0 else { return }
        count.value.withLock { $0 += 1 }
        Thread.detachNewThread {
          serve(RawConnection(descriptor: accepted))
          close(accepted)
        }
      }
    }
  }

  deinit {
    // Wakes the thread that accepts, too.
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }
}

/// One connection of a `RawListener`.
public struct RawConnection: Sendable {
  let descriptor: Int32

  /// - Returns: whether the system took all of it; it does not once the other side hung up.
  @discardableResult
  public func send(_ bytes: [UInt8]) -> Bool {
    Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// Waits until the other side hangs up; what it says is thrown away.
  public func awaitEnd() {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while recv(descriptor, &bytes, bytes.count, 0) > 0 {}
  }

  /// Lets a ZeroMQ peer in, as a router without keys (ZMTP 3.0).
  public func shakeHands() {
    let mechanism = Array("NULL".utf8) + [UInt8](repeating: 0, count: 16)
    send([0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0] + mechanism + [UInt8](repeating: 0, count: 32))
    var greeting = [UInt8](repeating: 0, count: 64)
    _ = recv(descriptor, &greeting, greeting.count, Int32(MSG_WAITALL))
    let (name, type) = (Array("Socket-Type".utf8), Array("ROUTER".utf8))
    let property = [UInt8(name.count)] + name + [0, 0, 0, UInt8(type.count)] + type
    let ready = [5] + Array("READY".utf8) + property
    send([4, UInt8(ready.count)] + ready)
  }
}
