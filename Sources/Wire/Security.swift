import Messages

/// Whether a socket encrypts and knows its peers by their keys (CurveZMQ), or does neither, and why.
///
/// `Keys` is `ServerKeys` for a socket that listens, `ClientKeys` for one that connects.
public enum Security<Keys: Sendable>: Sendable {
  case none(PlainReason)
  case curve(Keys)

  public var isEncrypted: Bool { if case .curve = self { true } else { false } }

  /// Decides for an endpoint: keys are used where they are given, and needed where other machines can connect.
  ///
  /// A worker beside its coordinator uses its keys too, for a socket that listens on all addresses wants them of all.
  /// - Parameter insecure: whether `--insecure` was given; it wins over keys.
  /// - Throws: `WireError.keysRequired`.
  public static func decide(for endpoint: Endpoint, keys: Keys?, insecure: Bool) throws(WireError) -> Security {
    if insecure { return .none(.askedFor) }
    if let keys { return .curve(keys) }
    guard endpoint.isLoopback else { throw .keysRequired(endpoint) }
    return .none(.loopback)
  }
}

/// Why a socket does not encrypt.
public enum PlainReason: Hashable, Sendable {
  /// Only processes of this machine can connect.
  case loopback
  /// `--insecure`.
  case askedFor
}

public struct ServerKeys: Sendable {
  public var own: KeyPair
  public var allowed: AllowedKeys

  public init(own: KeyPair, allowed: AllowedKeys) {
    self.own = own
    self.allowed = allowed
  }
}

public struct ClientKeys: Sendable {
  public var own: KeyPair
  /// The coordinator's: whoever has another is not talked to.
  public var server: PublicKey

  public init(own: KeyPair, server: PublicKey) {
    self.own = own
    self.server = server
  }
}
