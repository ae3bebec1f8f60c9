import Foundation
import TestSupport
import Testing
import Vision

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
