import Glibc
import Messages
import Synchronization
import Threads

extension Endpoint {
  /// Whether somebody has to be asked what addresses the host has.
  var isName: Bool { !isIPv4 && !host.contains(":") && host != "*" }

  /// The addresses of its host, in the order in which the system wants them tried; of an address, itself.
  ///
  /// May wait for a name server. `localhost` is never another machine, whatever tables say.
  /// - Throws: `WireError.unknownHost`.
  package func addresses() throws(WireError) -> [Endpoint] {
    guard isName else { return [self] }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    var found: [Endpoint] = []
    var next = list
    while code == 0, let entry = next {
      next = entry.pointee.ai_next
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      guard
        getnameinfo(
          entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
      else { continue }
      let address = withHost(String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
      if !found.contains(address), !isLoopback || address.isLoopback { found.append(address) }
    }
    if found.isEmpty {
      // In a container without /etc/hosts nobody knows this name, but what it means.
      if isLoopback { return [withHost("127.0.0.1")] }
      let reason = code == EAI_SYSTEM ? String(cString: strerror(errno)) : String(cString: gai_strerror(code))
      throw .unknownHost(self, reason: code == 0 ? "it has no address" : reason)
    }
    return found
  }
}

extension Endpoint {
  /// This machine's own address on the way to the first of the host's addresses that there is a way to, with this port;
  /// nil where there is none. Nothing is sent.
  /// - Throws: `WireError.unknownHost`.
  public func localAddress() throws(WireError) -> Endpoint? {
    for address in try addresses() {
      if let host = Self.source(towards: address) { return withHost(host) }
    }
    return nil
  }

  /// In numbers.
  private static func source(towards address: Endpoint) -> String? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    hints.ai_flags = AI_NUMERICHOST
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address.host, "\(max(1, address.port))", &hints, &list) == 0, let list else { return nil }
    defer { freeaddrinfo(list) }
    let descriptor = socket(list.pointee.ai_family, list.pointee.ai_socktype, 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard connect(descriptor, list.pointee.ai_addr, list.pointee.ai_addrlen) == 0 else { return nil }
    var own = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    let code = withUnsafeMutablePointer(to: &own) { own in
      own.withMemoryRebound(to: sockaddr.self, capacity: 1) { own -> Int32 in
        guard getsockname(descriptor, own, &length) == 0 else { return -1 }
        return getnameinfo(own, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
      }
    }
    return code == 0 ? String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
  }
}

/// A host's addresses, asked for in a thread of its own: a name server may take long, and the socket's thread has others
/// to see to.
final class HostLookup: Sendable {
  private let result = Mutex<Result<[Endpoint], WireError>?>(nil)

  init(of endpoint: Endpoint) {
    startThread(named: "massl-lookup") { [self] in
      let found: Result<[Endpoint], WireError>
      do throws(WireError) { found = .success(try endpoint.addresses()) } catch { found = .failure(error) }
      result.withLock { $0 = found }
    }
  }

  /// Nil until there is an answer.
  var answer: Result<[Endpoint], WireError>? { result.withLock { $0 } }
}

/// Which of a name's addresses a connection is tried at: each in turn, at once; then, after a pause, all again. Pure.
package struct AddressRound: Sendable, Equatable {
  static let shortestPause = Duration.milliseconds(100)
  static let longestPause = Duration.seconds(5)

  /// At least one.
  package private(set) var addresses: [Endpoint]
  private var place = 0
  private var pause = Self.shortestPause

  package init(_ addresses: [Endpoint]) { self.addresses = addresses }

  package var current: Endpoint { addresses[place] }

  /// The current one took no connection, or is no massl.
  /// - Returns: nil if the next is to be tried at once; how long to wait if that was the last.
  package mutating func failed() -> Duration? {
    place += 1
    guard place == addresses.count else { return nil }
    place = 0
    defer { pause = min(pause * 2, Self.longestPause) }
    return pause
  }

  /// The current one answers.
  package mutating func succeeded() { pause = Self.shortestPause }

  /// What the name means now. One that is wanted first is, if it is among them.
  package mutating func begin(_ new: [Endpoint], first: Endpoint? = nil) {
    addresses = new.filter { $0 == first } + new.filter { $0 != first }
    place = 0
  }
}
