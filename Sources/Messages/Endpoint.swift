/// Where a socket listens or connects to: `tcp://HOST:PORT`.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
  /// A name, an IPv4 address, an IPv6 address without its brackets, or `*` for all of this machine's addresses.
  public let host: String
  /// 0...65535; 0 lets the system choose when listening.
  public let port: Int

  /// - Throws: what is wrong.
  public init(_ text: String) throws(BadEndpoint) {
    func bad(_ problem: String) -> BadEndpoint { BadEndpoint(text: text, problem: problem) }
    let scheme = "tcp://"
    guard text.hasPrefix(scheme) else { throw bad("it does not begin with tcp://") }
    let address = text.dropFirst(scheme.count)
    let host: Substring
    let rest: Substring
    if address.first == "[" {
      guard let end = address.firstIndex(of: "]") else { throw bad("the bracket of its IPv6 address is not closed") }
      host = address[address.index(after: address.startIndex)..<end]
      rest = address[address.index(after: end)...]
      guard host.contains(":"), host.utf8.allSatisfy(Self.isOfIPv6) else {
        throw bad("'\(host)' is no IPv6 address")
      }
    } else {
      let end = address.lastIndex(of: ":") ?? address.endIndex
      host = address[..<end]
      rest = address[end...]
      guard !host.contains(":") else { throw bad("an IPv6 address needs brackets, as in tcp://[::1]:5570") }
      guard !host.isEmpty else { throw bad("the host is missing") }
      guard host == "*" || host.utf8.allSatisfy(Self.isOfName) else { throw bad("'\(host)' is no host") }
    }
    guard rest.first == ":", rest.count > 1 else { throw bad("the port is missing") }
    let digits = rest.dropFirst()
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), digits.utf8.count <= 9,
      let port = Int(digits)
    else { throw bad("the port '\(digits)' is no number") }
    guard port <= 65_535 else { throw bad("the port \(port) is above 65535") }
    self.host = String(host)
    self.port = port
  }

  private init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// The same host with another port, 0...65535.
  public func withPort(_ port: Int) -> Endpoint { Endpoint(host: host, port: port) }

  /// Another host with the same port.
  package func withHost(_ host: String) -> Endpoint { Endpoint(host: host, port: port) }

  /// Where a process of this machine reaches what listens here: an address that stands for all of them is no place to
  /// connect to.
  public var onThisMachine: Endpoint {
    switch host {
    case "*", "0.0.0.0": Endpoint(host: "127.0.0.1", port: port)
    case "::": Endpoint(host: "::1", port: port)
    default: self
    }
  }

  public var description: String { host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)" }

  /// Whether only processes of this machine can be at the other end.
  public var isLoopback: Bool {
    if host == "localhost" || host == "::1" { return true }
    return isIPv4 && host.hasPrefix("127.")
  }

  /// Four numbers between dots.
  package var isIPv4: Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Hexadecimal digits, colons, the dots of an embedded IPv4 address, and a zone.
  private static func isOfIPv6(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ":") || byte == UInt8(ascii: "%") || isOfName(byte)
  }
}

/// A text that says no endpoint.
public struct BadEndpoint: Error, Hashable, CustomStringConvertible {
  public let text: String
  public let problem: String

  public var description: String {
    "'\(text)' is no endpoint: \(problem). Write it as tcp://HOST:PORT, for example tcp://127.0.0.1:5570."
  }
}
