import Glibc
import Messages

/// What listens at an address says first: whether it is of ZeroMQ, and wants keys.
///
/// libzmq tells whoever has no keys that they are needed only now and then, for it hangs up as soon as it knows, often
/// before its own greeting has left. So we greet it only so far that it says its part (ZMTP 3, RFC 23).
enum Greeting: Equatable {
  case keys
  case noKeys
  /// Nobody listens, or it is another program.
  case none

  /// Asks. In the caller's thread, which waits at most so long.
  /// - Parameter address: of numbers.
  init(of address: Endpoint, within patience: Duration) {
    self = Self.bytes(of: address, until: .now + patience).map(Self.init(bytes:)) ?? .none
  }

  private static let size = 64
  private static let mechanism = 12..<32

  init(bytes: [UInt8]) {
    guard bytes.count == Self.size, bytes[0] == 0xff, bytes[9] == 0x7f else {
      self = .none
      return
    }
    switch String(decoding: bytes[Self.mechanism].prefix { $0 != 0 }, as: UTF8.self) {
    case "CURVE": self = .keys
    case "NULL": self = .noKeys
    default: self = .none
    }
  }

  private static func bytes(of address: Endpoint, until deadline: ContinuousClock.Instant) -> [UInt8]? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address.host, "\(address.port)", &hints, &list) == 0, let list else { return nil }
    defer { freeaddrinfo(list) }
    let descriptor = socket(
      list.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard connect(descriptor, list.pointee.ai_addr, list.pointee.ai_addrlen) == 0 || errno == EINPROGRESS,
      isReady(descriptor, POLLOUT, until: deadline)
    else { return nil }
    // A signature, and the version: then it says all of its own.
    let begin: [UInt8] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3]
    guard send(descriptor, begin, begin.count, Int32(MSG_NOSIGNAL)) == begin.count else { return nil }
    var bytes = [UInt8](repeating: 0, count: size)
    var count = 0
    while count < size, isReady(descriptor, POLLIN, until: deadline) {
      let read = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + count, size - count, 0) }
      guard read > 0 else { return nil }
      count += read
    }
    // To end with the word that it waits for, so that it says what it says to any peer of no keys.
    let rest: [UInt8] = [1] + Array("NULL".utf8) + [UInt8](repeating: 0, count: 48)
    _ = send(descriptor, rest, rest.count, Int32(MSG_NOSIGNAL))
    return count == size ? bytes : nil
  }

  private static func isReady(_ descriptor: CInt, _ event: CInt, until deadline: ContinuousClock.Instant) -> Bool {
    var item = pollfd(fd: descriptor, events: Int16(event), revents: 0)
    while true {
      let count = poll(&item, 1, CInt(max(.zero, deadline - .now).milliseconds))
      if count < 0, errno == EINTR { continue }
      return count > 0
    }
  }
}
