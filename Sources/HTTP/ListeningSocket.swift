import Glibc
import Messages

/// A TCP socket that listens at one address. Closed with its last use.
struct ListeningSocket: ~Copyable {
  let descriptor: CInt
  /// Where it listens, with the port that the system chose if it was to.
  let endpoint: Endpoint

  /// - Parameter endpoint: an address in numbers, `*` for all of this machine's, or `localhost`.
  /// - Throws: `ListenError`.
  init(at endpoint: Endpoint) throws(ListenError) {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let host = endpoint.host == "*" ? "0.0.0.0" : endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host
    let code = getaddrinfo(host, "\(endpoint.port)", &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard code == 0, let entry = list?.pointee else {
      throw .cannotListen(endpoint, reason: String(cString: gai_strerror(code)))
    }
    let kind = entry.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    let descriptor = socket(entry.ai_family, kind, 0)
    guard descriptor >= 0 else { throw .cannotListen(endpoint, reason: String(cString: strerror(errno))) }
    // A page that is started again takes its port again.
    var isOn: CInt = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isOn, socklen_t(MemoryLayout<CInt>.size))
    guard bind(descriptor, entry.ai_addr, entry.ai_addrlen) == 0, listen(descriptor, SOMAXCONN) == 0 else {
      let number = errno
      close(descriptor)
      throw number == EADDRINUSE
        ? .addressInUse(endpoint) : .cannotListen(endpoint, reason: String(cString: strerror(number)))
    }
    self.descriptor = descriptor
    self.endpoint = endpoint.withPort(Self.port(of: descriptor) ?? endpoint.port)
  }

  deinit { close(descriptor) }

  /// The next connection that waits, non-blocking; nil if none does, or there is no descriptor for it.
  func accept() -> (descriptor: CInt, source: String)? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let descriptor = withUnsafeMutablePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.accept(self.descriptor, $0, &length)
      }
    }
    guard descriptor >= 0 else { return nil }
    _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    return (descriptor, Self.host(of: &address, length))
  }

  private static func host(of address: inout sockaddr_storage, _ length: socklen_t) -> String {
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let code = withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        getnameinfo($0, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
      }
    }
    return code == 0 ? String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "?"
  }

  private static func port(of descriptor: CInt) -> Int? {
    var address = sockaddr_in()
    // The port is at the same place in an IPv6 address.
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return code == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
  }
}

/// Why nobody can be served at an address.
public enum ListenError: Error, Equatable {
  case addressInUse(Endpoint)
  case cannotListen(Endpoint, reason: String)
}

extension ListenError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .addressInUse(let endpoint):
      "Port \(endpoint.port) of \(endpoint.host) is in use: another process listens there, another run's page perhaps. "
        + "Give another port, or 0 for any free one."
    case .cannotListen(let endpoint, let reason):
      "Cannot listen at \(endpoint.host), port \(endpoint.port): \(reason). Give an address of this machine."
    }
  }
}
