import CSodium
import Glibc

/// What a page on other addresses than loopback asks for. Never printed, never in a URL, compared in constant time.
public struct AccessToken: Sendable {
  /// Bytes at least and at most: 16 of them, chosen at random, nobody guesses.
  static let length = 16...512

  private let hash: [UInt8]
  /// What a browser that has said the token keeps instead of it. It follows from the token, so that it outlives the
  /// page's process, and the token does not follow from it.
  let cookie: String

  init(_ text: String) {
    let hash = Self.hash(Array(text.utf8), key: [])
    self.hash = hash
    cookie = Self.hash(Array("massl page".utf8), key: hash).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count < 2 ? "0" + digits : digits
    }.joined()
  }

  /// The first line of a file that only its owner may read.
  /// - Throws: `PageError.tokenFile`.
  public init(file path: String) throws(PageError) {
    func unreadable() -> PageError {
      .tokenFile(path, problem: "it cannot be read: \(String(cString: strerror(errno)))")
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & 0o077 == 0 else {
      throw .tokenFile(
        path,
        problem: "others than its owner may read or write it, so the token may be known; chmod 600 it if it is not")
    }
    var bytes = [UInt8](repeating: 0, count: 2 * Self.length.upperBound)
    let count = read(descriptor, &bytes, bytes.count)
    guard count >= 0 else { throw unreadable() }
    let line = bytes[..<count].prefix { $0 != 10 && $0 != 13 }
    guard Self.length.contains(line.count), line.allSatisfy({ 0x21..<0x7f ~= $0 }) else {
      throw .tokenFile(
        path,
        problem: "its first line is not \(Self.length.lowerBound) to \(Self.length.upperBound) letters, digits and "
          + "marks; make one with: head -c 24 /dev/urandom | base64 > FILE")
    }
    self.init(String(decoding: line, as: UTF8.self))
  }

  /// - Complexity: the same for every text of one length.
  func matches(_ text: String) -> Bool { Self.isEqual(Self.hash(Array(text.utf8), key: []), hash) }

  func matches(cookie text: String) -> Bool {
    Self.isEqual(Self.hash(Array(text.utf8), key: []), Self.hash(Array(cookie.utf8), key: []))
  }

  private static func isEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    one.count == other.count && sodium_memcmp(one, other, one.count) == 0
  }

  private static func hash(_ bytes: [UInt8], key: [UInt8]) -> [UInt8] {
    var hash = [UInt8](repeating: 0, count: 32)
    // Needs no sodium_init: it computes the same with whatever it finds.
    crypto_generichash(&hash, hash.count, bytes, UInt64(bytes.count), key.isEmpty ? nil : key, key.count)
    return hash
  }
}
