import Glibc
import Messages

extension Origin {
  /// The origin of whoever connects from an address.
  /// - Parameter address: in numbers, as the system writes it, of either kind; anything else is this machine's.
  package init(address: String) {
    // A link-local address names its interface.
    let numbers = address.prefix { $0 != "%" }
    var bytes = [UInt8](repeating: 0, count: 16)
    func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    func isIPv4(at first: Int) -> Origin {
      bytes[first] == 127 ? .thisMachine : .ipv4(UInt32(number(first..<first + 4)))
    }
    if inet_pton(AF_INET, String(numbers), &bytes) == 1 {
      self = isIPv4(at: 0)
    } else if inet_pton(AF_INET6, String(numbers), &bytes) == 1 {
      switch (number(0..<8), number(8..<16)) {
      // A socket of both kinds writes IPv4 addresses so.
      case (0, let low) where low >> 32 == 0xFFFF: self = isIPv4(at: 12)
      case (0, 1): self = .thisMachine
      case (let network, _): self = .ipv6(network)
      }
    } else {
      self = .thisMachine
    }
  }
}
