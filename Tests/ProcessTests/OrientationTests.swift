import Foundation
import TestSupport
import Testing

/// Pictures whose EXIF data say that they lie on their side.
@Suite(.serialized, .ownThreads) struct OrientationTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// A copy of the pictures that says of each how the camera was held: 1 is as stored, 6 by a quarter to the right.
  private func pictures(_ name: String, orientation: UInt8) throws -> String {
    let folder = try workshop.copyOfPictures(name)
    let names = try #require(FileManager.default.enumerator(atPath: folder)).compactMap { $0 as? String }
    var segment = Data([0xFF, 0xE1, 0, 34]) + Data("Exif\0\0MM\0*".utf8)
    segment += Data([0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0])
    for name in names where name.hasSuffix(".jpg") {
      let path = URL(fileURLWithPath: "\(folder)/\(name)")
      let bytes = try Data(contentsOf: path)
      try (bytes.prefix(2) + segment + bytes.dropFirst(2)).write(to: path)
    }
    return folder
  }

  @Test func aRunTurnsPicturesWhereItIsToldTo() throws {
    let (lying, standing) = (try pictures("lying", orientation: 6), try pictures("standing", orientation: 1))
    func digests(_ name: String, _ data: String, _ upright: Bool) throws -> [String] {
      let flags = ["--data", data, "--run", workshop.run(name), "--exif-orientation", "\(upright)", "--max-steps", "3"]
      let ended = try Program.run(["train"] + flags + Workshop.recipe.dropLast(4))
      #expect(ended.status == 0, "\(ended)")
      return try workshop.digests(name, step: 3)
    }
    let stored = try digests("stored", standing, true)
    #expect(try digests("untold", lying, false) == stored)
    let turned = try digests("turned", lying, true)
    #expect(turned != stored)

    // A run is what it is: its pictures cannot be turned later, and its features are judged as it was trained.
    let later = try Program.run([
      "train", "--data", lying, "--run", workshop.run("untold"), "--exif-orientation", "true", "--max-steps", "4",
    ])
    #expect(later.status == 64 && later.errors.contains("exif_orientation"), "\(later)")
    let files = try ["turned", "untold"].map { name in
      let sides = ["--train", lying, "--test", lying, "--k", "5"]
      let file = workshop.folder + "/\(name).safetensors"
      #expect(try Program.run(["export", "--run", workshop.run("turned"), "--out", file]).status == 0)
      let flags = name == "turned" ? [] : ["--exif-orientation", "false"]
      let cache = workshop.folder + "/cache-\(name)"
      let ended = try Program.run(["evaluate", "knn", "--weights", file, "--cache", cache] + flags + sides)
      #expect(ended.status == 0, "\(ended)")
      return try FileManager.default.contentsOfDirectory(atPath: cache).sorted()
    }
    #expect(Set(files[0]).isDisjoint(with: files[1]), "features of turned pictures are others than of stored ones")
  }
}
