import Foundation
import TestSupport
import Testing
import Vision

@Suite("Tars that are wrong") struct BadTarTests {
  /// What is said of a tar.
  private func sentence(_ bytes: [UInt8], _ folder: String) -> String {
    do {
      try put(bytes, "\(folder)/a.tar")
      let data = try DataSet(root: "\(folder)/a.tar")
      return "\(data.count) pictures"
    } catch { return "\(error)".replacingOccurrences(of: folder, with: "") }
  }

  static let whole: TarBytes = {
    var tar = TarBytes()
    tar.add("a.jpg", [UInt8](repeating: 1, count: 700))
    tar.add("b/", type: "5")
    tar.add("b/c.jpg", [])
    tar.add("d.png", [2])
    return tar
  }()

  @Test func cutShortAnywhere() throws {
    try withTemporaryFolder { folder in
      let whole = Self.whole.ended
      #expect(sentence(whole, folder) == "3 pictures")
      #expect(sentence(Array(whole.dropLast(512)), folder) == "3 pictures", "some programs write one empty block")
      for length in stride(from: 0, through: whole.count - 1024 + 511, by: 128) {
        let said = sentence(Array(whole[..<length]), folder)
        #expect(said.hasPrefix("/a.tar: it ") && said.hasSuffix(". Make or fetch the tar again, or leave it out."))
      }
      #expect(
        sentence(Array(whole[..<600]), folder)
          == "/a.tar: it was cut short or is damaged: 'a.jpg' at byte 0 takes 700 bytes, and 88 are left. Make or fetch "
          + "the tar again, or leave it out.")
      #expect(
        sentence(Self.whole.bytes, folder)
          == "/a.tar: it was cut short: it has no end, and stops at byte \(Self.whole.bytes.count). Make or fetch the tar "
          + "again, or leave it out.")
    }
  }

  @Test func whatIsNoTarIsSaid() throws {
    try withTemporaryFolder { folder in
      let rest = [UInt8](repeating: 7, count: 1000)
      for (start, words) in [
        ([0x1F, 0x8B], "it is packed with gzip. Unpack it"), (Array("BZh".utf8), "it is packed with bzip2"),
        ([0x28, 0xB5, 0x2F, 0xFD], "it is packed with zstd"),
        (Array("PK\u{3}\u{4}".utf8), "it is no tar, but a ZIP file"),
        ([9], "it is no tar."), ([], "it is no tar."),
      ] {
        #expect(sentence(start + rest, folder).hasPrefix("/a.tar: \(words)"))
      }
      #expect(sentence([], folder).hasPrefix("/a.tar: it is no tar: it has 0 bytes."))
      var flipped = Self.whole.ended
      flipped[1024 + 512 + 3] ^= 1
      #expect(sentence(flipped, folder).contains("it is damaged: at byte 1536 there is no header"))
      var goesOn = Self.whole.bytes + [UInt8](repeating: 0, count: 512)
      goesOn += Self.whole.ended
      #expect(sentence(goesOn, folder).contains("it ends, and goes on"))
      #expect(
        sentence([UInt8](repeating: 0, count: 10240), folder)
          == "/a.tar is empty. Give a folder of JPEG, PNG or WebP pictures, at any depth.")
    }
  }

  @Test func sizesThatCannotBe() throws {
    try withTemporaryFolder { folder in
      for size: [UInt8] in [
        TarBytes.octal(1 << 33 - 1, digits: 11), [0x80] + [UInt8](repeating: 0xFF, count: 11),
        [UInt8](repeating: 0xFF, count: 12), Array("0000000x000".utf8), Array("-0000000001".utf8),
        [0x80, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
      ] {
        var tar = TarBytes()
        tar.add("a.jpg", [1], size: size)
        let said = sentence(tar.ended, folder)
        #expect(said.contains("has no size") || said.contains("are left"), "\(said)")
      }
      for record in ["size=-1", "size=99999999999999999999", "size=x"] {
        var tar = TarBytes()
        let parts = record.split(separator: "=").map(String.init)
        tar.add("p", TarBytes.record(parts[0], parts[1]), type: "x")
        tar.add("a.jpg", [1])
        #expect(sentence(tar.ended, folder).contains("the pax header at byte 0 does not read"))
      }
      for notes in ["12 path=a.jpg", "9999999999999999999999 path=a\n", "5 a\n", "3=\n", "x"] {
        var tar = TarBytes()
        tar.add("p", Array(notes.utf8), type: "x")
        tar.add("a.jpg", [1])
        #expect(sentence(tar.ended, folder).contains("the pax header at byte 0 does not read"), "\(notes)")
      }
      var long = TarBytes()
      long.add("L", [UInt8](repeating: UInt8(ascii: "a"), count: 5000), type: "L", isGNU: true)
      long.add("a.jpg", [1], isGNU: true)
      #expect(sentence(long.ended, folder).contains("has a name of 5000 bytes, which no file has"))
      var longer = TarBytes()
      longer.add("L", [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20 + 1), type: "L", isGNU: true)
      #expect(sentence(longer.ended, folder).contains("a name at byte 512 takes"))
    }
  }

  @Test func entriesThatAreNoFilesOfTheirOwn() throws {
    try withTemporaryFolder { folder in
      for (name, type, words) in [
        ("a.jpg", "1", "'a.jpg' is a link"), ("a.jpg", "2", "'a.jpg' is a link"), ("a.jpg", "S", "'a.jpg' has holes"),
        ("../a.jpg", "0", "'../a.jpg' leads out of the tar"), ("b/../../a.jpg", "0", "leads out of the tar"),
      ] as [(String, Character, String)] {
        var tar = TarBytes()
        tar.add("0.jpg", [1])
        tar.add(name, type: type)
        #expect(sentence(tar.ended, folder).contains(words))
      }
      var sparse = TarBytes()
      sparse.add("p", TarBytes.record("GNU.sparse.major", "1") + TarBytes.record("GNU.sparse.name", "a.jpg"), type: "x")
      sparse.add("GNUSparseFile.0/a.jpg", [1])
      #expect(sentence(sparse.ended, folder).contains("'a.jpg' has holes"))
      // What is no picture may be anything.
      var foreign = TarBytes()
      foreign.add("/a.jpg", [1])
      foreign.add("notes", type: "2")
      foreign.add("device", type: "3")
      foreign.add("g", Array("not read".utf8), type: "g")
      foreign.add("._a.jpg", [1])
      #expect(sentence(foreign.ended, folder) == "1 pictures")
      // An older program's folder says a size, and nothing follows it.
      var sized = TarBytes()
      sized.add("d/", type: "5", size: TarBytes.octal(4096, digits: 11))
      sized.add("d/a.jpg", [1])
      #expect(sentence(sized.ended, folder) == "1 pictures")
      for type in ["1", "S"] as [Character] {
        var classes = TarBytes()
        classes.add("a.jpg", [1])
        classes.add("a.cls", type: type)
        #expect(sentence(classes.ended, folder).contains("'a.cls' is a link or has holes. Make the tar with"))
      }
      var nothing = TarBytes()
      nothing.add("a.txt", [1])
      nothing.add("b.txt", [1])
      nothing.add(".c.jpg", [1])
      #expect(sentence(nothing.ended, folder).contains("there is only 2 .txt, 1 hidden."))
    }
  }

  @Test func namesThatAreThereTwice() throws {
    try withTemporaryFolder { folder in
      var tar = TarBytes()
      tar.add("a.jpg", [1])
      tar.add("b.jpg", [1])
      tar.add("./a.jpg", [2])
      #expect(sentence(tar.ended, folder).hasPrefix("/a.tar: it has 'a.jpg' twice. "))
      var other = TarBytes()
      other.add("b.jpg", [1])
      try put(other.ended, "\(folder)/0.tar")
      try put(other.ended, "\(folder)/1.tar")
      #expect(throws: VisionError.badTar(path: "\(folder)/1.tar", reason: "it has 'b.jpg' and so does \(folder)/0.tar"))
      {
        try DataSet(root: "\(folder)/{0..1}.tar")
      }
      var classes = TarBytes()
      for _ in 0..<2 { classes.add("a.cls", [UInt8(ascii: "1")]) }
      classes.add("a.jpg", [1])
      #expect(sentence(classes.ended, folder).contains("'a.cls' is there twice"))
      for (text, words) in [
        ("", "names no class"), (String(repeating: "1", count: 257), "has 257 bytes"), ("\n ", "names no class"),
      ] {
        var tar = TarBytes()
        tar.add("a.cls", Array(text.utf8))
        tar.add("a.jpg", [1])
        #expect(sentence(tar.ended, folder).contains(words))
      }
    }
  }

  @Test func oneThatChangedGivesNoOtherBytes() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.tar"
      try put(Self.whole.ended, path)
      let data = try DataSet(root: path)
      var other = TarBytes()
      other.add("x.jpg", [UInt8](repeating: 3, count: 700))
      other.add("b/", type: "5")
      other.add("b/c.jpg", [])
      other.add("d.png", [4])
      try put(other.ended, path)
      // The last two are as they were, though the tar is another.
      #expect((0..<3).map(data.isThere) == [false, true, true])
      let reason = "the tar has changed since it was listed, and the picture is not where it was"
      #expect(throws: VisionError.unreadable(path: "\(path)/a.jpg", reason: reason)) { try data.read(0) }
      try put(Array(Self.whole.ended.prefix(1000)), path)
      #expect((0..<3).map(data.isThere) == [false, false, false] && !data.isReachable)
      try FileManager.default.removeItem(atPath: path)
      #expect(throws: VisionError.self) { try data.read(0) }
    }
  }
}
