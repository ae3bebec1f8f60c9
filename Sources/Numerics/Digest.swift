import CXXHash

/// 128 bits that name a sequence of bytes: XXH3. Finds damage and differences; it is no proof against forgery.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  public init(of bytes: UnsafeRawBufferPointer) {
    let hash = massl_xxh3(bytes.baseAddress, bytes.count)
    self.init(high: hash.high64, low: hash.low64)
  }

  public init(of bytes: some Sequence<UInt8>) {
    self = Array(bytes).withUnsafeBytes { Digest(of: $0) }
  }

  /// 32 lower-case hexadecimal digits.
  public var description: String {
    func hex(_ value: UInt64) -> String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    return hex(high) + hex(low)
  }

  /// Nil unless `text` is 32 hexadecimal digits.
  public init?(_ text: String) {
    guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
      let low = UInt64(text.suffix(16), radix: 16)
    else { return nil }
    self.init(high: high, low: low)
  }
}

/// As its digits, in JSON a string.
extension Digest: Codable {
  public init(from decoder: Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let digest = Digest(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is no digest")
    }
    self = digest
  }

  public func encode(to encoder: Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// 64 bits that find damage in few bytes, such as a row's: XXH3, quicker to end than a digest's 128.
public enum Checksum {
  public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 { massl_xxh3_64(bytes.baseAddress, bytes.count) }
}

extension FloatBuffer {
  /// The digest of all its bytes.
  public var digest: Digest { withBytes(of: 0..<count) { Digest(of: $0) } }
}

// MARK: - Piece by piece

/// A digest under way: the bytes come in pieces of any size, and the result is that of all of them in one.
///
/// A value would copy 576 aligned bytes at each use; this is an object, used by one thread.
public final class DigestState {
  private let state: UnsafeMutableRawPointer

  public init() {
    guard let state = massl_xxh3_create() else { fatalError("out of memory: the state of a digest") }
    self.state = state
  }

  deinit { massl_xxh3_free(state) }

  public func update(_ bytes: UnsafeRawBufferPointer) {
    massl_xxh3_update(state, bytes.baseAddress, bytes.count)
  }

  public func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  /// Of all bytes so far; more may follow.
  public var digest: Digest {
    let hash = massl_xxh3_digest(state)
    return Digest(high: hash.high64, low: hash.low64)
  }
}
