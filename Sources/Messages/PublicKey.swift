import Numerics

/// The half of a key pair that others may know: 32 bytes, written as 64 hexadecimal digits.
public struct PublicKey: Hashable, Sendable, CustomStringConvertible {
  package let bytes: [UInt8]

  package init(bytes: [UInt8]) {
    invariant(bytes.count == 32)
    self.bytes = bytes
  }

  /// Nil unless `text` is 64 hexadecimal digits.
  public init?(_ text: some StringProtocol) {
    guard let bytes = KeyDigits.bytes(of: text) else { return nil }
    self.bytes = bytes
  }

  /// Why a text is no key, for people.
  package static func problem(of text: some StringProtocol) -> String {
    text.utf8.count == 64
      ? "it holds what is no hexadecimal digit" : "it has \(text.count) characters, not 64 hexadecimal digits"
  }

  public var description: String { KeyDigits.text(of: bytes) }
}

/// How keys are written, public and secret ones: 64 hexadecimal digits.
package enum KeyDigits {
  package static func text(of bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  package static func bytes(of text: some StringProtocol) -> [UInt8]? {
    let digits = Array(text.utf8)
    guard digits.count == 64 else { return nil }
    var bytes: [UInt8] = []
    for index in stride(from: 0, to: 64, by: 2) {
      guard let high = value(of: digits[index]), let low = value(of: digits[index + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func value(of digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
