import Foundation
import Telemetry
import TestSupport
import Testing

struct FollowedFileTests {
  private func add(_ text: String, to path: String) throws {
    if !FileManager.default.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try file.seekToEnd()
    try file.write(contentsOf: Data(text.utf8))
    try file.close()
  }

  @Test func linesComeOnceAndWhole() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/log"
      try add("a\nb\nc\nd", to: path)
      var file = FollowedFile(path, lastLines: 2)
      let (first, none) = (file.newLines(), file.newLines())
      #expect(first == ["b", "c"] && none == [])
      try add("e\n\nf", to: path)
      let (added, rest, nothing) = (file.newLines(), file.rest(), file.rest())
      #expect(added == ["de", ""] && rest == "f" && nothing == nil)
      var late = FollowedFile(path, from: 4)
      let all = late.newLines()
      #expect(all == ["c", "de", ""])
    }
  }

  @Test func aFileThatComesLaterOrIsReplacedIsFollowed() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/log"
      var file = FollowedFile(path, lastLines: 5)
      let none = file.newLines()
      try add("first\n", to: path)
      let first = file.newLines()
      #expect(none == [] && first == ["first"])
      try add("last of the old\nbegun", to: path)
      try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
      try add("first of the new\n", to: path)
      let both = file.newLines()
      #expect(both == ["last of the old", "begun", "first of the new"])
      try Data("cut\n".utf8).write(to: URL(fileURLWithPath: path))
      let cut = file.newLines()
      #expect(cut == ["cut"])
    }
  }

  @Test func aLineWithoutAnEndTakesBoundedMemory() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/log"
      try add(String(repeating: "x", count: 200_000), to: path)
      var file = FollowedFile(path, from: 0)
      let (pieces, rest) = (file.newLines(), file.rest())
      #expect(pieces.map(\.utf8.count) == [65_536, 65_536, 65_536] && rest?.utf8.count == 200_000 - 3 * 65_536)
    }
  }
}
