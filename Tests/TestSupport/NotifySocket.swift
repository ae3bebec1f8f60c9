import Foundation
import Glibc

/// A socket as service managers have one: hears what processes say of themselves.
public final class NotifySocket: Sendable {
  private let descriptor: Int32
  /// For `NOTIFY_SOCKET`.
  public let address: String

  /// - Parameter address: a path where nothing is, or a name of the abstract kind, which begins with @.
  public init(at address: String) throws {
    self.address = address
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var place = sockaddr_un()
    place.sun_family = sa_family_t(AF_UNIX)
    var name = Array(address.utf8)
    if name.first == UInt8(ascii: "@") { name[0] = 0 }
    withUnsafeMutableBytes(of: &place.sun_path) { $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
    let isBound = withUnsafePointer(to: place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 }
    }
    guard isBound else { throw RawPeer.NotConnected(code: errno) }
  }

  deinit {
    close(descriptor)
    if address.hasPrefix("/") { unlink(address) }
  }

  /// The next datagram's lines; nil if none comes in time.
  public func next(within seconds: Double = 60) -> [String]? {
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&ready, 1, Int32(seconds * 1000)) == 1 else { return nil }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).components(separatedBy: "\n")
  }

  /// Whether such a line comes, sooner or later.
  public func hears(_ isMeant: (String) -> Bool) -> Bool {
    while let lines = next() {
      if lines.contains(where: isMeant) { return true }
    }
    return false
  }
}
