internal import CZeroMQ
import Glibc
import Messages
import Numerics
import Synchronization

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

// MARK: - Files

extension KeyPair {
  /// Writes both halves to a new file that only its owner may read, whole or not at all.
  /// - Throws: `WireError.keyFileExists`: a key is not overwritten; `WireError.keyFile`.
  public func write(to path: String) throws(WireError) {
    try KeyFile.write(
      "# massl key pair. Keep this file secret; give others only the public key.\n"
        + "public \(publicKey)\nsecret \(Hexadecimal.text(of: secret))\n",
      to: path)
  }

  /// - Throws: `WireError.keyFile`; `WireError.badKeyFile`, also when others than its owner may read the file: a secret
  ///   that others know is none.
  public init(contentsOf path: String) throws(WireError) {
    let (text, mode) = try KeyFile.read(path)
    func bad(_ line: Int?, _ problem: String) -> WireError { .badKeyFile(path: path, line: line, problem: problem) }
    guard mode & 0o077 == 0 else {
      throw bad(nil, "others than its owner may read or write it, so its key may be known; chmod 600 it if it is not")
    }
    var halves: [Substring: [UInt8]] = [:]
    for line in KeyFile.lines(of: text) {
      // The words are not repeated in the sentence: one of them may be the secret.
      guard line.words.count == 2, ["public", "secret"].contains(line.words[0]), halves[line.words[0]] == nil else {
        throw bad(line.number, "neither the line 'public' nor 'secret' of a key file")
      }
      guard let half = Hexadecimal.bytes(of: line.words[1], count: 32) else {
        throw bad(line.number, "its \(line.words[0]) key has no 64 hexadecimal digits")
      }
      halves[line.words[0]] = half
    }
    guard let secret = halves["secret"], let publicBytes = halves["public"] else {
      throw bad(nil, "no line '\(halves["secret"] == nil ? "secret" : "public")' with a key in it")
    }
    self.init(publicKey: PublicKey(bytes: publicBytes), secret: secret)
    guard publicKey == derivedPublicKey else { throw bad(nil, "its public key does not belong to its secret key") }
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
  /// The keys in a file: one a line, each followed by whose it is if you like. Blank lines and what follows a `#` do
  /// not count; a key may be there twice.
  /// - Throws: `WireError.keyFile`; `WireError.badAllowedKeys` with the line, also when there is no key at all.
  public static func read(_ path: String) throws(WireError) -> Set<PublicKey> {
    var keys: Set<PublicKey> = []
    for line in KeyFile.lines(of: try KeyFile.read(path).text) {
      let word = line.words[0]
      if word == "public" || word == "secret" {
        throw .badAllowedKeys(
          path: path, line: line.number, problem: "this is a key file, which is its owner's alone, not a list of keys")
      }
      guard let key = PublicKey(word) else {
        throw .badAllowedKeys(
          path: path, line: line.number,
          problem: "'\(word.prefix(80))' is no public key: \(PublicKey.problem(of: word))")
      }
      keys.insert(key)
    }
    guard !keys.isEmpty else { throw .badAllowedKeys(path: path, line: nil, problem: "it has no key in it") }
    return keys
  }
}

/// Small text files with a word or two a line; `#` begins a comment.
private enum KeyFile {
  /// A megabyte of keys is some ten thousand workers.
  static let bytesAtMost = 1 << 20

  struct Line {
    /// From 1 on.
    var number: Int
    /// At least one.
    var words: [Substring]
  }

  static func lines(of text: String) -> [Line] {
    // A carriage return with its newline is one Character.
    text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated().compactMap { index, line in
      let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }
      return words.isEmpty ? nil : Line(number: index + 1, words: words)
    }
  }

  /// To its end, for it may be a pipe.
  static func read(_ path: String) throws(WireError) -> (text: String, mode: mode_t) {
    func failure() -> WireError {
      .keyFile(path: path, operation: "read", reason: String(cString: strerror(errno)))
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure() }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count == 0 { break }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw failure() }
      bytes += chunk.prefix(count)
      guard bytes.count <= bytesAtMost else {
        throw .keyFile(path: path, operation: "read", reason: "it is larger than 1 MiB, so no file of keys")
      }
    }
    return (String(decoding: bytes, as: UTF8.self), status.st_mode)
  }

  static func write(_ text: String, to path: String) throws(WireError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      if errno == EEXIST { throw .keyFileExists(path: path) }
      throw .keyFile(path: path, operation: "write", reason: String(cString: strerror(errno)))
    }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    errno = ENOSPC
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
      let number = errno
      unlink(path)
      throw .keyFile(path: path, operation: "write", reason: String(cString: strerror(number)))
    }
  }
}
