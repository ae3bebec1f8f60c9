import Foundation
import Messages
import TestSupport
import Testing
import Wire

@Suite("Keys are written once, read whole, and each mistake is named with file and line")
struct KeysTests {
  func write(_ text: String, to path: String, mode: Int = 0o600) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
  }

  /// The sentence that reading a key file with this text ends in.
  func sentence(_ text: String, mode: Int = 0o600, in root: String) throws -> String? {
    try write(text, to: "\(root)/key", mode: mode)
    let error = #expect(throws: WireError.self) { try KeyPair(contentsOf: "\(root)/key") }
    return error?.description
  }

  @Test func aKeyComesBackFromAFileThatOnlyItsOwnerReads() throws {
    try withTemporaryDirectory { root in
      let pair = try KeyPair.generate()
      try pair.write(to: "\(root)/key")
      #expect(try KeyPair(contentsOf: "\(root)/key") == pair)
      let mode = try FileManager.default.attributesOfItem(atPath: "\(root)/key")[.posixPermissions] as? Int
      #expect(mode == 0o600)
      #expect(throws: WireError.keyFileExists(path: "\(root)/key")) { try KeyPair.generate().write(to: "\(root)/key") }
      #expect(try KeyPair(contentsOf: "\(root)/key") == pair)
      #expect(
        throws: WireError.keyFile(path: "\(root)/no/key", operation: "write", reason: "No such file or directory")
      ) { try pair.write(to: "\(root)/no/key") }
      #expect(throws: WireError.keyFile(path: "\(root)/no", operation: "read", reason: "No such file or directory")) {
        try KeyPair(contentsOf: "\(root)/no")
      }
    }
  }

  @Test func aPublicKeyIs64HexadecimalDigits() throws {
    let key = try KeyPair.generate().publicKey
    #expect(key.description.count == 64 && PublicKey(key.description) == key)
    #expect(PublicKey(key.description.uppercased()) == key)
    #expect(PublicKey("abc") == nil && PublicKey(String(repeating: "g", count: 64)) == nil)
  }

  @Test func badKeyFilesAreNamedWithTheirLine() throws {
    try withTemporaryDirectory { root in
      let pair = try KeyPair.generate()
      try pair.write(to: "\(root)/good")
      let good = try String(contentsOfFile: "\(root)/good", encoding: .utf8)
      try write(good.replacingOccurrences(of: "\n", with: "\r\n"), to: "\(root)/key")
      #expect(try KeyPair(contentsOf: "\(root)/key") == pair, "lines may end as Windows ends them")
      #expect(try sentence(good, mode: 0o640, in: root)?.hasPrefix("\(root)/key: others than its owner") == true)
      #expect(try sentence("", in: root)?.hasPrefix("\(root)/key: no line 'secret'") == true)
      #expect(try sentence(good + "more", in: root)?.hasPrefix("\(root)/key:4: neither") == true)
      #expect(try sentence("\n\nsecret abc\n", in: root)?.hasPrefix("\(root)/key:3: its secret key has no 64") == true)
      let other = try KeyPair.generate().publicKey.description
      let mixed = good.replacingOccurrences(of: pair.publicKey.description, with: other)
      #expect(try sentence(mixed, in: root)?.contains("does not belong to its secret key") == true)
      // The secret itself is in no sentence.
      let secret = try #require(good.split(separator: "\n").last?.split(separator: " ").last)
      #expect(try sentence("sekret \(secret)\n", in: root)?.contains(secret) == false)
    }
  }

  @Test func aFileOfAllowedKeysIsReadAgainWhenItChanges() throws {
    try withTemporaryDirectory { root in
      let (path, keys) = ("\(root)/keys", try (0..<3).map { _ in try KeyPair.generate().publicKey })
      try write("\(keys[0])\n\(keys[1])\n", to: path)
      let file = try AllowedKeysFile(path)
      #expect(try file.refresh() == nil && file.refresh() == nil)

      try write("\(keys[1])\n\(keys[2])\n# and nobody else\n", to: path)
      // It may still be written.
      #expect(try file.refresh() == nil && !file.keys.contains(keys[2]))
      let change = try #require(try file.refresh())
      #expect(change == (1, 1))
      #expect(keys.map(file.keys.contains) == [false, true, true])

      // What cannot be read, or is empty, shuts nobody out, and is said once.
      try write("\(keys[0])\nno key\n", to: path)
      #expect(try file.refresh() == nil)
      #expect(throws: WireError.self) { try file.refresh() }
      #expect(try file.refresh() == nil && keys.map(file.keys.contains) == [false, true, true])
      unlink(path)
      #expect(try file.refresh() == nil && file.keys.contains(keys[2]))
    }
  }

  @Test func allowedKeysAreOneALineWithNamesAndComments() throws {
    try withTemporaryDirectory { root in
      let keys = try (0..<3).map { _ in try KeyPair.generate().publicKey }
      try write(
        "# workers\n\n\(keys[0])\n  \(keys[1]) of the room below\r\n\t# \(keys[2])\n\(keys[0])#again",
        to: "\(root)/keys",
        mode: 0o644)
      #expect(try AllowedKeys.read("\(root)/keys") == [keys[0], keys[1]])
    }
  }

  @Test(arguments: [
    ("# none\n", "FILE: it has no key in it."),
    ("#\n\nabc def\n", "FILE:3: 'abc' is no public key: it has 3 characters"),
    ("\npublic 00\n", "FILE:2: this is a key file"),
  ])
  func badAllowedKeysAreNamedWithTheirLine(text: String, beginning: String) throws {
    try withTemporaryDirectory { root in
      try write(text, to: "\(root)/keys")
      let error = #expect(throws: WireError.self) { try AllowedKeys.read("\(root)/keys") }
      #expect(error?.description.hasPrefix(beginning.replacingOccurrences(of: "FILE", with: "\(root)/keys")) == true)
      #expect(throws: WireError.keyFile(path: root, operation: "read", reason: "Is a directory")) {
        try AllowedKeys.read(root)
      }
    }
  }
}
