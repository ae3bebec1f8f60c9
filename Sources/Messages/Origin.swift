/// Where a peer's words come from, by what it cannot choose as it likes, unlike its names. Where places are few, those of
/// one origin share them.
public enum Origin: Hashable, Sendable {
  /// The machine itself, by whatever address of its loopback, and what has no address at all.
  case thisMachine
  /// Where there are keys, whoever has this one, wherever it is.
  case key(PublicKey)
  case ipv4(UInt32)
  /// The first half of an address: who has one of them has as many of the second as it likes.
  case ipv6(UInt64)
}

extension Origin: CustomStringConvertible {
  /// "this machine", "key 0123456789abcdef...", "192.0.2.7", "2001:db8:0:7::/64".
  public var description: String {
    switch self {
    case .thisMachine: "this machine"
    case .key(let key): "key \(key.description.prefix(16))..."
    case .ipv4(let address): [24, 16, 8, 0].map { "\(address >> $0 & 0xFF)" }.joined(separator: ".")
    case .ipv6(let network):
      [48, 32, 16, 0].map { String(network >> $0 & 0xFFFF, radix: 16) }.joined(separator: ":") + "::/64"
    }
  }
}
