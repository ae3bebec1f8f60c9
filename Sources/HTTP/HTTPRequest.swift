/// A request that is whole and within `HTTPLimits`.
public struct HTTPRequest: Sendable, Equatable {
  public var method: String
  /// Before the question mark, as it came: nothing is decoded, so a route is these very bytes.
  public var path: String
  /// After the question mark, `name=value` each; the first of a name counts.
  public var query: [String: String]
  /// By names in lower case; of several headers of one name, all, in order.
  public var headers: [String: [String]]
  public var body: [UInt8]
  /// Whether the client would like to send another one over this connection.
  public var keepsAlive: Bool

  public init(
    method: String, path: String, query: [String: String] = [:], headers: [String: [String]] = [:],
    body: [UInt8] = [], keepsAlive: Bool = true
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.keepsAlive = keepsAlive
  }

  /// A header's only value; nil if there is none, or several, of which a proxy may have taken another than we would.
  public func header(_ name: String) -> String? {
    guard let values = headers[name], values.count == 1 else { return nil }
    return values[0]
  }
}

// MARK: - Forms

extension HTTPRequest {
  /// `a=1&b=two+words`, percent escapes decoded; what is not UTF-8 then is left out.
  public static func fields(ofForm text: some StringProtocol) -> [String: String] {
    var fields: [String: String] = [:]
    for part in text.utf8.split(separator: UInt8(ascii: "&")) {
      let halves = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decoded(halves[0]), let value = decoded(halves.count > 1 ? halves[1] : halves[0].suffix(0)),
        fields[name] == nil
      else { continue }
      fields[name] = value
    }
    return fields
  }

  private static func decoded(_ text: some Collection<UInt8>) -> String? {
    var bytes: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else { return nil }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
