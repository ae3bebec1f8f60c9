import Foundation
import Numerics
import TestSupport
import Testing
import Vision

@Suite("Saved listings") struct DataSetIndexTests {
  /// A change within the grain of a file system's clock is not trusted to leave a mark: until then nothing is kept.
  private func settle() { usleep(2_200_000) }

  private func isSaved(_ data: DataSet) -> Bool { data.remark?.contains("Remove that file") == true }

  private func tar(_ paths: [String]) -> [UInt8] {
    var tar = TarBytes()
    for (index, path) in paths.enumerated() {
      tar.add(path, [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: index % 700))
      if index % 3 == 0 { tar.add("\(path.split(separator: ".")[0]).cls", Array("\(index % 5)".utf8)) }
    }
    return tar.ended
  }

  /// Random names that begin alike, and some that do not.
  private func paths(_ count: Int, seed: UInt64) -> [String] {
    var random = SplitMix64(seed: seed)
    return Array(
      Set(
        (0..<count).map { _ in
          let folder = ["n0144", "n0144/x", "é", "n1", String(repeating: "w", count: 200)][Int(random.next() % 5)]
          return "\(folder)/\(random.next() % 1_000_000 * (random.next() % 2))-\(random.next() % 500).jpg"
        })
    ).sorted()
  }

  /// A list's paths begin at the folder that it is named in.
  @Test func aLinkToAListIsAnotherDataSet() throws {
    try withTemporaryFolder { folder in
      let index = DataSetIndex(inFolder: "\(folder)/cache", picturesAtLeast: 1)
      for (number, place) in ["a", "b"].enumerated() {
        try put([UInt8](repeating: 7, count: 10 + number), "\(folder)/\(place)/1.jpg")
      }
      try put(Array("1.jpg".utf8), "\(folder)/a/train.list")
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/b/train.list", withDestinationPath: "\(folder)/a/train.list")
      settle()
      let first = try DataSet(root: "\(folder)/a/train.list", index: index)
      let second = try DataSet(root: "\(folder)/b/train.list", index: index)
      #expect(first.size(0) == 10 && second.size(0) == 11)
      #expect(try isSaved(DataSet(root: "\(folder)/b/train.list", index: index)))
    }
  }

  @Test("What is kept is what was listed", arguments: [1, 15, 16, 17, 300] as [Int])
  func keepsEverything(count: Int) throws {
    try withTemporaryFolder { folder in
      let index = DataSetIndex(inFolder: "\(folder)/cache", picturesAtLeast: 1)
      let paths = paths(count, seed: UInt64(count))
      for (number, path) in paths.enumerated() {
        try put([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 700), "\(folder)/data/\(path)")
      }
      try put(Array("root: data\n\(paths.joined(separator: "\n"))".utf8), "\(folder)/all.list")
      try put(tar(paths), "\(folder)/all.tar")
      try put(tar(Array(paths.prefix(7))), "\(folder)/shards/0.tar")
      try put(tar(Array(paths.dropFirst(7)) + ["z.jpg"]), "\(folder)/shards/1.tar")
      settle()
      for form in ["data", "all.list", "all.tar", "shards", "shards/{0..1}.tar"] {
        let listed = try DataSet(root: "\(folder)/\(form)", index: index)
        #expect(!isSaved(listed))
        let kept = try DataSet(root: "\(folder)/\(form)", index: index)
        #expect(isSaved(kept), "\(form)")
        #expect(kept.identity == listed.identity && kept.labels == listed.labels && kept.hidden == listed.hidden)
        for picture in 0..<kept.count {
          #expect(kept.pathBytes(picture) == listed.pathBytes(picture) && kept.size(picture) == listed.size(picture))
          #expect(try kept.read(picture) == listed.read(picture))
          #expect(kept.index(ofPath: kept.pathBytes(picture)) == picture)
        }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/cache").count == 5)
    }
  }

  @Test func whatChangedIsListedAnew() throws {
    try withTemporaryFolder { folder in
      let index = DataSetIndex(inFolder: "\(folder)/cache", picturesAtLeast: 1)
      for path in ["a/1.jpg", "a/2.jpg", "b/c/3.jpg"] { try put([1], "\(folder)/data/\(path)") }
      try put(Array("a/1.jpg\na/2.jpg".utf8), "\(folder)/data/x.list")
      try put(tar(["1.jpg", "2.jpg"]), "\(folder)/shards/0.tar")
      let forms = ["data", "data/x.list", "shards", "shards/0.tar", "shards/{0..0}.tar"]
      settle()
      for form in forms { _ = try DataSet(root: "\(folder)/\(form)", index: index) }
      for form in forms { #expect(try isSaved(DataSet(root: "\(folder)/\(form)", index: index))) }

      // 1. A file in its place: at the start nobody sees it, and who reads it does.
      let file = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/data/a/1.jpg"))
      try file.write(contentsOf: [1, 2])
      try file.close()
      let kept = try DataSet(root: "\(folder)/data", index: index)
      #expect(isSaved(kept))
      #expect(throws: VisionError.changed(path: "\(folder)/data/a/1.jpg", listed: 1, found: 2)) { try kept.read(0) }

      // 2. One more picture, in a folder below; in a tar; a tar.
      try put([1], "\(folder)/data/b/c/4.jpg")
      #expect(try DataSet(root: "\(folder)/data", index: index).count == 4)
      #expect(try isSaved(DataSet(root: "\(folder)/data/x.list", index: index)))
      try put(Array("a/1.jpg\n".utf8), "\(folder)/data/x.list")
      #expect(try DataSet(root: "\(folder)/data/x.list", index: index).count == 1)
      try put(tar(["3.jpg"]), "\(folder)/shards/1.tar")
      #expect(try DataSet(root: "\(folder)/shards", index: index).count == 3)
      #expect(try isSaved(DataSet(root: "\(folder)/shards/0.tar", index: index)))
      try put(tar(["1.jpg", "2.jpg", "4.jpg"]), "\(folder)/shards/0.tar")
      #expect(try DataSet(root: "\(folder)/shards/0.tar", index: index).count == 3)
      #expect(try DataSet(root: "\(folder)/shards/{0..0}.tar", index: index).count == 3)

      // 3. Who was changed just now is not kept, for the next change may have the same time.
      #expect(try !isSaved(DataSet(root: "\(folder)/shards", index: index)))
      // 4. A picture that a list names is gone.
      settle()
      _ = try DataSet(root: "\(folder)/data/x.list", index: index)
      #expect(try isSaved(DataSet(root: "\(folder)/data/x.list", index: index)))
      try FileManager.default.removeItem(atPath: "\(folder)/data/a/1.jpg")
      #expect(throws: VisionError.self) { try DataSet(root: "\(folder)/data/x.list", index: index) }
    }
  }

  @Test func fewPicturesAreNotKept() throws {
    try withTemporaryFolder { folder in
      let index = DataSetIndex(inFolder: "\(folder)/cache", picturesAtLeast: 2)
      try put([1], "\(folder)/data/1.jpg")
      settle()
      _ = try DataSet(root: "\(folder)/data", index: index)
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/cache"))
    }
  }

  /// No byte of a file is believed: one that is damaged is as good as none.
  @Test func damagedFilesAreNotUsed() throws {
    try withTemporaryFolder { folder in
      let index = DataSetIndex(inFolder: "\(folder)/cache", picturesAtLeast: 1)
      try put(tar(paths(40, seed: 1)), "\(folder)/a.tar")
      settle()
      let listed = try DataSet(root: "\(folder)/a.tar", index: index)
      let name = try #require(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/cache").first)
      let file = "\(folder)/cache/\(name)"
      let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
      var random = SplitMix64(seed: 7)
      for round in 0..<300 {
        var bytes = whole
        switch round % 3 {
        case 0: bytes[Int(random.next() % UInt64(bytes.count))] ^= UInt8(1 << (random.next() % 8))
        case 1: bytes.removeLast(1 + Int(random.next() % UInt64(bytes.count)))
        default:
          // With a digest that is right: the bytes are read, and each is checked.
          bytes.removeLast(16)
          for _ in 0...random.next() % 3 {
            bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
          }
          let digest = Digest(of: bytes)
          for half in [digest.high, digest.low] { withUnsafeBytes(of: half.littleEndian) { bytes += $0 } }
        }
        try put(bytes, file)
        let data = try DataSet(root: "\(folder)/a.tar", index: index)
        if round % 3 < 2 { #expect(!isSaved(data) && data.identity == listed.identity) }
        for picture in 0..<data.count { _ = try? data.read(picture) }
        _ = data.labels
      }
    }
  }
}
