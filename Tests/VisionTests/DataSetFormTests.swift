import Foundation
import TestSupport
import Testing
import Vision

@Suite("Folder, list and tars") struct DataSetFormTests {
  private static let longName =
    String(repeating: "long", count: 24) + "/" + String(repeating: "name", count: 40) + ".jpg"
  private static let pictures = [
    "cat/1.jpg", "cat-big/2.JPEG", "ant/3.png", "ant/deep/4.jpg", "é/5.jpg", longName, "6.jpg",
  ]

  /// A folder with pictures of different sizes, and others that do not count.
  private func fill(_ root: String) throws {
    for (index, path) in Self.pictures.enumerated() {
      try put([UInt8](repeating: UInt8(index), count: 400 * index + 1), "\(root)/\(path)")
    }
    for path in ["notes.txt", "._1.jpg", "cat/.hidden.jpg", "__MACOSX/1.jpg", "ant/3.json"] {
      try put([1, 2, 3], "\(root)/\(path)")
    }
  }

  private func run(_ program: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
  }

  @Test("Whatever GNU tar writes is the folder's data set", arguments: ["gnu", "oldgnu", "pax", "posix"])
  func tarsOfEveryFormat(format: String) throws {
    try withTemporaryFolder { folder in
      try fill("\(folder)/data")
      let whole = try DataSet(root: "\(folder)/data")
      // "./" before each name, or none.
      for (name, what) in [
        ("dots", ["."]), ("plain", try FileManager.default.contentsOfDirectory(atPath: "\(folder)/data")),
      ] {
        let tar = "\(folder)/\(name).tar"
        try run("/bin/tar", ["--format=\(format)", "-C", "\(folder)/data", "-cf", tar] + what)
        let data = try DataSet(root: tar)
        #expect(data.identity == whole.identity && data.hidden == whole.hidden)
        #expect(data.labels == whole.labels)
        for index in 0..<data.count {
          #expect(data.path(index) == whole.path(index) && data.isThere(index))
          #expect(try data.read(index) == whole.read(index))
        }
        #expect(try data.read(2, atMost: 7) == whole.read(2, atMost: 7))
      }
    }
  }

  /// POSIX has the beginning of a long name behind the header's other fields, and GNU tar's own format other things there.
  @Test func headersHaveNamesInTwoParts() throws {
    try withTemporaryFolder { folder in
      var tar = TarBytes()
      tar.add("b.jpg", [1], prefix: "some/folder")
      tar.add("a.jpg", [2, 2], prefix: "12345", isGNU: true)
      try put(tar.ended, "\(folder)/a.tar")
      let data = try DataSet(root: "\(folder)/a.tar")
      #expect((0..<data.count).map(data.path) == ["a.jpg", "some/folder/b.jpg"])
      #expect(try data.read(0) == [2, 2])
      #expect(try data.read(1) == [1])
    }
  }

  @Test func listsAndShardsAreTheFoldersDataSet() throws {
    try withTemporaryFolder { folder in
      try fill("\(folder)/data")
      let whole = try DataSet(root: "\(folder)/data")
      try put(Array(Self.pictures.reversed().joined(separator: "\n").utf8), "\(folder)/data/all.list")
      try put(
        [0xEF, 0xBB, 0xBF] + Array("root: data\r\n\r\n\(Self.pictures.joined(separator: "\r\n"))\r\n".utf8),
        "\(folder)/all.TXT")
      try put(
        Array("root: \(folder)/data\n\(Self.pictures.map { "\(folder)/data//./\($0)" }.joined(separator: "\n"))".utf8),
        "\(folder)/elsewhere/all.txt")
      for (shard, picture) in Self.pictures.enumerated() {
        try run("/bin/tar", ["-C", "\(folder)/data", "-cf", "\(folder)/shard-\(8 + shard / 2).tar", picture])
        if shard % 2 == 1 {
          try run(
            "/bin/tar",
            ["-C", "\(folder)/data", "-cf", "\(folder)/shard-\(8 + shard / 2).tar"] + Self.pictures[(shard - 1)...shard]
          )
        }
      }
      try FileManager.default.createDirectory(atPath: "\(folder)/shards/in", withIntermediateDirectories: true)
      for shard in 8...11 {
        try FileManager.default.createSymbolicLink(
          atPath: "\(folder)/shards/\(shard % 2 == 0 ? "in/" : "")\(shard).tar",
          withDestinationPath: "\(folder)/shard-\(shard).tar")
      }
      for form in [
        "\(folder)/data/all.list", "\(folder)/all.TXT", "\(folder)/elsewhere/all.txt", "\(folder)/shard-{8..11}.tar",
        "\(folder)/shards",
      ] {
        let data = try DataSet(root: form)
        #expect(data.identity == whole.identity, "\(form)")
        #expect(data.labels == whole.labels)
        #expect(data.isReachable)
        for index in 0..<data.count { #expect(try data.read(index) == whole.read(index)) }
        #expect(data.index(ofPath: Array("cat/1.jpg".utf8)) == whole.index(ofPath: Array("cat/1.jpg".utf8)))
        #expect(data.index(ofPath: Array("cat/2.jpg".utf8)) == nil)
      }
    }
  }

  /// As a folder of pictures in which somebody keeps the tar that they came from.
  @Test func tarsBesidePicturesDoNotCount() throws {
    try withTemporaryFolder { folder in
      try put([1], "\(folder)/a.jpg")
      try put([1], "\(folder)/b.tar")
      #expect(try DataSet(root: folder).count == 1)
    }
  }

  @Test func patternsStandForNames() throws {
    #expect(try ShardPattern.names("a{08..11}b.tar") == ["a08b.tar", "a09b.tar", "a10b.tar", "a11b.tar"])
    #expect(try ShardPattern.names("{x,y}{9..10}") == ["x9", "x10", "y9", "y10"])
    #expect(try ShardPattern.names("{000..2}") == ["000", "001", "002"])
    for (pattern, reason) in [
      ("{0..9.tar", "a brace is not closed"), ("{9..0}.tar", "'{9..0}' goes from 9 down to 0"),
      ("{a..b}.tar", "'{a..b}' is neither two numbers nor words"), ("{}.tar", "'{}' is neither two numbers nor words"),
      ("{{0..1}}.tar", "a brace stands in another"), ("{0..999999999999}.tar", "it stands for more than 1000000 files"),
      ("{0..1999}{0..1999}.tar", "it stands for more than 1000000 files"),
      ("{-1..1}.tar", "'{-1..1}' is neither two numbers nor words"),
    ] {
      #expect(throws: VisionError.badPattern(pattern: pattern, reason: reason)) { try ShardPattern.names(pattern) }
    }
    #expect(throws: VisionError.badTar(path: "/nowhere/0.tar", reason: "it does not exist")) {
      try DataSet(root: "/nowhere/{0..1}.tar")
    }
  }

  @Test func tarsSayClasses() throws {
    try withTemporaryFolder { folder in
      var tar = TarBytes()
      for (key, label) in [("s/000", "10\n"), ("s/001", "9"), ("s/002", " 10"), ("s/003", nil)] {
        if let label { tar.add("\(key).cls", Array(label.utf8)) }
        tar.add("\(key).jpg", [1])
        tar.add("\(key).json", [2])
      }
      try put(tar.ended, "\(folder)/a.tar")
      let data = try DataSet(root: "\(folder)/a.tar")
      #expect(data.labels?.names == ["9", "10"] && data.labels?.classes == [1, 0, 1, nil])
      try put(Array("tench\n".utf8), "\(folder)/x")
      var named = TarBytes()
      named.add("b.jpg", [1])
      named.add("b.cls", Array("great white shark".utf8))
      named.add("a.x.jpg", [1])
      named.add("a.cls", Array("tench".utf8))
      try put(named.ended, "\(folder)/b.tar")
      let labels = try DataSet(root: "\(folder)/b.tar").labels
      #expect(labels?.names == ["great white shark", "tench"] && labels?.classes == [1, 0])
      // One that is no number, and all are names.
      var mixed = TarBytes()
      for (key, label) in [("0", "9"), ("1", "1a"), ("2", "10")] {
        mixed.add("\(key).cls", Array(label.utf8))
        mixed.add("\(key).jpg", [1])
      }
      try put(mixed.ended, "\(folder)/c.tar")
      #expect(try DataSet(root: "\(folder)/c.tar").labels?.names == ["10", "1a", "9"])
    }
  }
}

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

@Suite("Lists of pictures") struct ListFileTests {
  @Test func badLinesAreNamed() throws {
    try withTemporaryFolder { folder in
      try put([1], "\(folder)/data/a.jpg")
      try put([1], "\(folder)/data/b/c.jpg")
      func sentence(_ text: String) -> String {
        do {
          try put(Array(text.utf8), "\(folder)/data/x.list")
          return "\(try DataSet(root: "\(folder)/data/x.list").count) pictures"
        } catch { return "\(error)".replacingOccurrences(of: folder, with: "") }
      }
      let end = ". Mend the list; each line is the path of one picture."
      for (text, words) in [
        ("a.jpg\n\nnone.jpg", "line 3: there is no file 'none.jpg' in /data"),
        ("a.jpg\n../data/a.jpg", "line 2: '../data/a.jpg' leads out of /data, to which the list's paths are relative"),
        ("b/../a.jpg", "line 1: 'b/../a.jpg' leads out of /data, to which the list's paths are relative"),
        ("/etc/passwd", "line 1: '/etc/passwd' is not in /data, to which the list's paths are relative"),
        ("a.jpg\nb/c.jpg\n./a.jpg", "line 3: 'a.jpg' is in line 1 too"),
        ("b", "line 1: 'b' is a folder"),
        (".", "line 1: '.' leads out of /data, to which the list's paths are relative"),
        ("a.jpg\nb\u{0}.jpg", "line 2: that is no path. Give a text file in UTF-8 with a path in each line"),
        (
          String(repeating: "a", count: 5000),
          "line 1: that is no path. Give a text file in UTF-8 with a path in each line"
        ),
        ("root: nowhere\na.jpg", "line 1: there is no folder /data/nowhere"),
        ("root:\na.jpg", "line 1: 'root:' names no folder"),
        ("a.jpg\nroot: b", "line 2: there is no file 'root: b' in /data"),
      ] {
        #expect(sentence(text) == "/data/x.list, " + words + end)
      }
      #expect(sentence("\n\n") == "/data/x.list is empty. Give a folder of JPEG, PNG or WebP pictures, at any depth.")
      #expect(sentence("root: b\nc.jpg") == "1 pictures")
    }
  }

  /// What a list names counts, whatever its name.
  @Test func whatIsListedCounts() throws {
    try withTemporaryFolder { folder in
      for name in [".hidden.jpg", "without", "c.jpg"] { try put([1], "\(folder)/\(name)") }
      try put(Array(".hidden.jpg\nwithout".utf8), "\(folder)/x.txt")
      let data = try DataSet(root: "\(folder)/x.txt")
      #expect((0..<data.count).map(data.path) == [".hidden.jpg", "without"] && data.hidden == 0 && data.labels == nil)
      #expect(data.wholePath(1) == "\(folder)/without")
    }
  }

  @Test func picturesThatARunLostKeepTheirPlaces() throws {
    try withTemporaryFolder { folder in
      for name in ["a", "b", "c"] { try put([1, 2], "\(folder)/\(name).jpg") }
      try put(Array("c.jpg\nb.jpg\na.jpg".utf8), "\(folder)/x.list")
      let whole = try DataSet(root: "\(folder)/x.list")
      try FileManager.default.removeItem(atPath: "\(folder)/b.jpg")
      #expect(throws: VisionError.self) { try DataSet(root: "\(folder)/x.list") }
      let lost = [(path: Array("b.jpg".utf8), size: 2)]
      #expect(try DataSet(root: "\(folder)/x.list", ofRunOn: whole.identity, lost: lost).identity == whole.identity)
    }
  }
}
