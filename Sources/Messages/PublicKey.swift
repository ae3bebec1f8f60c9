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
    guard let bytes = Hexadecimal.bytes(of: text, count: 32) else { return nil }
    self.bytes = bytes
  }

  /// Why a text is no key, for people.
  package static func problem(of text: some StringProtocol) -> String {
    text.utf8.count == 64
      ? "it holds what is no hexadecimal digit" : "it has \(text.count) characters, not 64 hexadecimal digits"
  }

  public var description: String { Hexadecimal.text(of: bytes) }
}
