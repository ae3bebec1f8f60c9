import Foundation
import Testing
import Vision

@Suite struct DataSetTests {
  @Test func orderIsByBytesOfTheWholePath() throws {
    try withTemporaryFolder { root in
      for path in ["b/z.jpg", "B.JPG", "a/é.jpeg", "a/z.jpg", "a-b/1.jpg", "a/deep/er/0.JPeG", "notes.txt", ".jpg"] {
        try put([1], "\(root)/\(path)")
      }
      let data = try DataSet(root: root)
      #expect(
        (0..<data.count).map(data.path) == [
          "B.JPG", "a-b/1.jpg", "a/deep/er/0.JPeG", "a/z.jpg", "a/é.jpeg", "b/z.jpg",
        ])
      // A picture's class is its folder in the root, however deep it lies; B.JPG has none.
      #expect(data.labels?.names == ["a", "a-b", "b"])
      #expect(data.labels?.classes == [nil, 1, 0, 0, 0, 2])
      #expect(data.labels?.nested == 1)
    }
  }

  @Test func aFolderAClassGivesLabels() throws {
    try withTemporaryFolder { root in
      for path in ["cat/1.jpg", "cat-big/2.jpg", "ant/3.jpg", "ant/4.jpg"] { try put([1], "\(root)/\(path)") }
      let labels = try #require(try DataSet(root: root).labels)
      #expect(labels.names == ["ant", "cat", "cat-big"])
      // "cat-big/" comes before "cat/" in the order of paths.
      #expect(labels.classes == [0, 0, 2, 1])
    }
  }

  @Test func whatIsHiddenIsLeftOutAndCounted() throws {
    try withTemporaryFolder { root in
      try put([1], "\(root)/cat/1.jpg")
      try put([1], "\(root)/dog/2.jpg")
      let plain = try DataSet(root: root)
      #expect(plain.hidden == 0 && plain.remark == nil)
      for path in [
        "._1.jpg", "cat/._1.jpg", ".ipynb_checkpoints/1-checkpoint.jpg", "__MACOSX/cat/2.jpg", "dog/@eaDir/2.jpg/S.jpg",
        ".git/objects/deep/3.jpeg", ".notes", "lost+found/4.jpg",
      ] { try put([1, 2], "\(root)/\(path)") }
      try FileManager.default.createSymbolicLink(atPath: "\(root)/.gone.jpg", withDestinationPath: "nowhere")
      let data = try DataSet(root: root)
      #expect((0..<data.count).map(data.path) == ["cat/1.jpg", "dog/2.jpg"])
      #expect(data.hidden == 7 && data.identity == plain.identity)
      // Hidden folders are no classes.
      #expect(data.labels?.names == ["cat", "dog"])
      #expect(
        data.remark
          == "\(root): 7 hidden pictures are left out (names that begin with a dot, and folders such as __MACOSX).")
    }
  }

  @Test func aHiddenRootIsLookedInto() throws {
    try withTemporaryFolder { root in
      try put([1], "\(root)/.cache/1.jpg")
      #expect(try DataSet(root: "\(root)/.cache").count == 1)
      #expect(throws: VisionError.noPictures(path: root, found: ["1 hidden"])) { try DataSet(root: root) }
    }
  }

  /// As versions before had it; runs that were started by them go on.
  @Test func whoCountedHiddenPicturesGoesOnCountingThem() throws {
    try withTemporaryFolder { root in
      for path in ["1.jpg", "._1.jpg", ".hidden/2.jpg"] { try put([1], "\(root)/\(path)") }
      let (data, all) = (try DataSet(root: root), try DataSet(root: root, countingHidden: true))
      #expect((0..<all.count).map(all.path) == ["._1.jpg", ".hidden/2.jpg", "1.jpg"] && all.hidden == 0)
      #expect(data.counted(as: all.identity).identity == all.identity)
      #expect(data.counted(as: all.identity).remark?.contains("hidden pictures count") == true)
      #expect(data.counted(as: data.identity).count == 1)
      #expect(data.counted(as: DataSet.Identity(count: 3, digest: data.identity.digest)).count == 1)
    }
  }

  @Test func identityIsThatOfPathsAndSizes() throws {
    try withTemporaryFolder { root in
      try put([1, 2], "\(root)/x/a.jpg")
      try put([3], "\(root)/x/b.jpg")
      let identity = try DataSet(root: root).identity
      #expect(identity.count == 2)
      try put([9, 9], "\(root)/x/a.jpg")
      try put([3], "\(root)/unrelated.txt")
      #expect(try DataSet(root: root).identity == identity)
      try put([3, 4], "\(root)/x/b.jpg")
      #expect(try DataSet(root: root).identity != identity)
      try put([3], "\(root)/x/b.jpg")
      try FileManager.default.moveItem(atPath: "\(root)/x/b.jpg", toPath: "\(root)/x/c.jpg")
      #expect(try DataSet(root: root).identity != identity)
    }
  }

  @Test func linksAreFollowedButNotInCircles() throws {
    try withTemporaryFolder { root in
      try put([1, 2, 3], "\(root)/elsewhere/real.jpg")
      let data = "\(root)/data"
      try put([1], "\(data)/in/a.jpg")
      try FileManager.default.createSymbolicLink(
        atPath: "\(data)/linked.jpg", withDestinationPath: "../elsewhere/real.jpg")
      try FileManager.default.createSymbolicLink(atPath: "\(data)/in/up", withDestinationPath: "..")
      try FileManager.default.createSymbolicLink(atPath: "\(data)/side", withDestinationPath: "../elsewhere")
      let listed = try DataSet(root: data)
      #expect((0..<listed.count).map(listed.path) == ["in/a.jpg", "linked.jpg", "side/real.jpg"])
      #expect(listed.size(1) == 3)
      #expect(try listed.read(1) == [1, 2, 3])
    }
  }

  @Test func namesNeedNotBeText() throws {
    try withTemporaryFolder { (root: String) throws in
      let name = Array("\(root)/".utf8) + [0xFF, 0xFE] + Array(".jpg".utf8)
      let file = fopen(name.map(CChar.init(bitPattern:)) + [0], "w")
      fputs("abc", file)
      fclose(file)
      let bytes = try DataSet(root: root).read(0)
      #expect(bytes == Array("abc".utf8))
    }
  }

  @Test func whatIsWrongWithAFolderIsSaid() throws {
    try withTemporaryFolder { root in
      func message(_ path: String) -> String {
        do {
          _ = try DataSet(root: path)
          return ""
        } catch { return "\(error)" }
      }
      #expect(message("\(root)/none") == "\(root)/none does not exist. Give a folder of JPEG, PNG or WebP pictures.")
      #expect(message(root) == "\(root) is empty. Give a folder of JPEG, PNG or WebP pictures, at any depth.")
      try put([], "\(root)/a.gif")
      try put([], "\(root)/b.GIF")
      try put([], "\(root)/README")
      #expect(
        message(root)
          == "\(root) holds no pictures: files ending in .jpg, .jpeg, .png or .webp (or in capitals) count, and there is only "
          + "2 .gif, 1 without an extension. Convert the pictures, or give another folder.")
      #expect(
        message("\(root)/README")
          == "\(root)/README is a file, not a folder. Give the folder that holds the pictures, a list of them "
          + "(.txt or .list), or tars (.tar).")
      try FileManager.default.createSymbolicLink(atPath: "\(root)/lost.jpg", withDestinationPath: "nowhere")
      #expect(
        message(root).hasPrefix("\(root)/lost.jpg cannot be read: No such file or directory. Mend it, or remove it;"))
    }
  }

  @Test func foldersOfFoldersAreEmptyToo() throws {
    try withTemporaryFolder { root in
      try FileManager.default.createDirectory(atPath: "\(root)/a/b", withIntermediateDirectories: true)
      #expect(throws: VisionError.emptyFolder(path: root)) { try DataSet(root: root) }
    }
  }

  @Test func filesThatChangeOrGoAreErrors() throws {
    try withTemporaryFolder { root in
      try put([1, 2], "\(root)/a.jpg")
      try put([1, 2], "\(root)/b.jpg")
      let data = try DataSet(root: root)
      try put([1, 2, 3], "\(root)/a.jpg")
      try FileManager.default.removeItem(atPath: "\(root)/b.jpg")
      #expect(throws: VisionError.changed(path: "\(root)/a.jpg", listed: 2, found: 3)) { try data.read(0) }
      #expect(throws: VisionError.unreadable(path: "\(root)/b.jpg", reason: "No such file or directory")) {
        try data.read(1)
      }
    }
  }

  /// Nobody may take a picture for gone because the process is short of something.
  @Test func whatTheProcessLacksIsNoFaultOfTheFile() {
    for code in [EMFILE, ENFILE, ENOMEM] {
      let error = VisionError(reading: "a.jpg", code: code)
      #expect(error == .noResources(path: "a.jpg", reason: String(cString: strerror(code))))
      #expect(error.description.contains("Nothing is wrong with it"))
    }
    for code in [ENOENT, EACCES, EIO, ELOOP] {
      #expect(
        VisionError(reading: "a.jpg", code: code)
          == .unreadable(path: "a.jpg", reason: String(cString: strerror(code))))
    }
  }

  @Test func picturesThatARunLostKeepTheirPlaces() throws {
    try withTemporaryFolder { root in
      for name in ["a", "b", "c", "d"] { try put([1, 2], "\(root)/\(name).jpg") }
      try put([1], "\(root)/.hidden.jpg")
      let whole = try DataSet(root: root)
      let all = try DataSet(root: root, countingHidden: true)
      try FileManager.default.removeItem(atPath: "\(root)/b.jpg")
      try put([1, 2, 3], "\(root)/c.jpg")
      let left = try DataSet(root: root)
      #expect(left.count == 3 && left.isReachable)
      let lost = ["b.jpg", "c.jpg"].map { (path: Array($0.utf8), size: 2) }
      let found = try DataSet(root: root, ofRunOn: whole.identity, lost: lost)
      #expect(found.identity == whole.identity && (0..<4).map(found.path) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
      #expect((0..<4).map(found.isThere) == [true, false, false, true])
      #expect(try DataSet(root: root, ofRunOn: all.identity, lost: lost).identity == all.identity)
      let other = try DataSet(root: root, ofRunOn: whole.identity, lost: [lost[0]])
      #expect(other.identity == left.identity, "not all that differs")
      // A link to nothing in the place of a lost one is passed over.
      try FileManager.default.createSymbolicLink(atPath: "\(root)/b.jpg", withDestinationPath: "nowhere")
      #expect(throws: VisionError.self) { try DataSet(root: root) }
      #expect(try DataSet(root: root, ofRunOn: whole.identity, lost: lost).identity == whole.identity)
      #expect(try DataSet(root: root, ofRunOn: all.identity, lost: lost).identity == all.identity)
      try FileManager.default.moveItem(atPath: root, toPath: "\(root).away")
      #expect(!found.isReachable)
      try FileManager.default.moveItem(atPath: "\(root).away", toPath: root)
    }
  }

  /// A terabyte of nothing, which takes no room on the disk.
  @Test func ofAFileLargerThanAnyPictureTheBeginningIsRead() throws {
    try withTemporaryFolder { root in
      let jpeg = try Fixture.jpeg("baseline")
      try put(jpeg, "\(root)/a.jpg")
      let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(root)/a.jpg"))
      try file.truncate(atOffset: 1 << 40)
      try file.close()
      let data = try DataSet(root: root)
      #expect(data.size(0) == 1 << 40)
      #expect(try data.read(0, atMost: 5000) == jpeg + [UInt8](repeating: 0, count: 5000 - jpeg.count))
      #expect(try data.read(0, atMost: jpeg.count - 1) == jpeg.dropLast())
    }
  }
}
