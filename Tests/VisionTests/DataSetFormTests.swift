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
