internal import CZeroMQ
import Glibc
import Numerics
import Synchronization

/// The half of a key pair that others may know: 32 bytes, written as 64 hexadecimal digits.
public struct PublicKey: Hashable, Sendable, CustomStringConvertible {
  let bytes: [UInt8]

  init(bytes: [UInt8]) {
    invariant(bytes.count == 32)
    self.bytes = bytes
  }

  /// Nil unless `text` is 64 hexadecimal digits.
  public init?(_ text: some StringProtocol) {
    guard let bytes = key(hexadecimal: text) else { return nil }
    self.bytes = bytes
  }

  public var description: String { hexadecimal(bytes) }
}

/// A Curve25519 key pair of libzmq's.
public struct KeyPair: Hashable, Sendable {
  public let publicKey: PublicKey
  /// 32 bytes; never printed.
  let secret: [UInt8]

  /// A new one, from the system's randomness.
  public static func generate() throws(WireError) -> KeyPair {
    var publicText = [CChar](repeating: 0, count: 41)
    var secretText = publicText
    guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .lastError(in: "zmq_curve_keypair") }
    return KeyPair(publicKey: PublicKey(bytes: decoded(publicText)), secret: decoded(secretText))
  }

  /// Z85, in which libzmq gives keys, has quotes and dollars in it, a nuisance in shells: outside it is hexadecimal.
  private static func decoded(_ text: [CChar]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 32)
    zmq_z85_decode(&bytes, text)
    return bytes
  }
}

/// The workers' keys that a coordinator lets in; may change while it runs.
public final class AllowedKeys: Sendable {
  private let keys: Mutex<Set<PublicKey>>

  public init(_ keys: Set<PublicKey>) { self.keys = Mutex(keys) }

  public func contains(_ key: PublicKey) -> Bool { keys.withLock { $0.contains(key) } }

  /// From now on these, and no others: messages of a key that is missing are dropped even on standing connections.
  public func replace(with new: Set<PublicKey>) { keys.withLock { $0 = new } }
}

private func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private func key(hexadecimal text: some StringProtocol) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count == 64 else { return nil }
  var bytes: [UInt8] = []
  for index in stride(from: 0, to: 64, by: 2) {
    guard let high = value(ofDigit: digits[index]), let low = value(ofDigit: digits[index + 1]) else { return nil }
    bytes.append(high << 4 | low)
  }
  return bytes
}

private func value(ofDigit digit: UInt8) -> UInt8? {
  switch digit {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
  case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
  default: nil
  }
}

// MARK: - Files

extension KeyPair {
  /// Writes both halves to a file that only its owner may read.
  /// - Throws: `WireError.keyFile`, also when the file is there already: a key is not overwritten.
  public func write(to path: String) throws(WireError) {
    try KeyFile.write(
      "# massl key pair. Keep this file secret; give others only the public key.\n"
        + "public \(publicKey)\nsecret \(hexadecimal(secret))\n",
      to: path, mode: 0o600)
  }

  /// - Throws: `WireError.keyFile`, `WireError.badKeyFile`, also when others may read the file.
  public init(contentsOf path: String) throws(WireError) {
    let (text, mode) = try KeyFile.read(path)
    guard mode & 0o077 == 0 else {
      throw .badKeyFile(path: path, problem: "others than its owner may read it; chmod 600 it, or make a new one")
    }
    var values: [Substring: Substring] = [:]
    for line in KeyFile.lines(of: text) where line.count == 2 { values[line[0]] = line[1] }
    guard let secretText = values["secret"], let secret = key(hexadecimal: secretText),
      let publicText = values["public"], let publicKey = PublicKey(publicText)
    else { throw .badKeyFile(path: path, problem: "it has no lines 'public' and 'secret' with 64 digits each") }
    self.init(publicKey: publicKey, secret: secret)
    guard publicKey == derivedPublicKey else {
      throw .badKeyFile(path: path, problem: "its public key does not belong to its secret key")
    }
  }

  private var derivedPublicKey: PublicKey {
    var text = [CChar](repeating: 0, count: 41)
    var secretText = text
    zmq_z85_encode(&secretText, secret, 32)
    zmq_curve_public(&text, secretText)
    return PublicKey(bytes: Self.decoded(text))
  }
}

extension AllowedKeys {
  /// The keys in a file: one a line, each followed by whose it is if you like.
  /// - Throws: `WireError.keyFile`, `WireError.badKeyFile` with the line.
  public static func read(_ path: String) throws(WireError) -> Set<PublicKey> {
    var keys: Set<PublicKey> = []
    for line in KeyFile.lines(of: try KeyFile.read(path).text) {
      guard let key = PublicKey(line[0]) else {
        throw .badKeyFile(path: path, problem: "'\(line[0])' is no public key of 64 hexadecimal digits")
      }
      keys.insert(key)
    }
    return keys
  }
}

/// Small text files with a word or two a line; `#` begins a comment.
private enum KeyFile {
  static func lines(of text: String) -> [[Substring]] {
    text.split(separator: "\n").filter { $0.first != "#" }
      .map { $0.split { $0 == " " || $0 == "\t" || $0 == "\r" } }.filter { !$0.isEmpty }
  }

  static func read(_ path: String) throws(WireError) -> (text: String, mode: mode_t) {
    func failure() -> WireError {
      .keyFile(path: path, operation: "read", reason: String(cString: strerror(errno)))
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure() }
    // A megabyte of keys is some ten thousand workers.
    guard status.st_size <= 1 << 20 else { throw .badKeyFile(path: path, problem: "it is larger than 1 MiB") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    let count = Glibc.read(descriptor, &bytes, bytes.count)
    guard count >= 0 else { throw failure() }
    return (String(decoding: bytes.prefix(count), as: UTF8.self), status.st_mode)
  }

  static func write(_ text: String, to path: String, mode: mode_t) throws(WireError) {
    func failure() -> WireError {
      .keyFile(path: path, operation: "write", reason: String(cString: strerror(errno)))
    }
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else { throw failure() }
  }
}
