import Drawing
import Evaluation
import Foundation
import TestSupport
import Testing
import Vision
import Visualization

@Suite struct PicturesTests {
  private func picture(_ level: UInt8) -> Picture {
    Picture(width: 8, height: 8, pixels: .init(repeating: level, count: 192))
  }

  private func write(_ bytes: [UInt8], to path: String) throws {
    let url = URL(fileURLWithPath: path)
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
  }

  @Test func ofAFolderPicturesAreEvenlyChosenAndFilesComeFirst() throws {
    try withTemporaryDirectory { folder in
      for index in 0..<10 { try write(picture(9).jpeg(), to: "\(folder)/set/\(index).jpg") }
      try write(picture(9).jpeg(), to: "\(folder)/one.jpg")
      let chosen = try ChosenPictures(["\(folder)/set", "\(folder)/one.jpg"], atMost: 6)
      #expect(
        chosen.names
          == ["one.jpg", "set/0.jpg", "set/2.jpg", "set/4.jpg", "set/6.jpg", "set/8.jpg"].map { "\(folder)/\($0)" })
      #expect(try ChosenPictures(["\(folder)/set"], atMost: 99).count == 10)
      #expect(try ChosenPictures(["\(folder)/set", "\(folder)/set"], atMost: 5).count == 5)
    }
  }

  @Test func whatIsNoPictureIsNamedAndLeftOut() throws {
    try withTemporaryDirectory { folder in
      try write(picture(9).jpeg(), to: "\(folder)/good.jpg")
      try write(Array("words".utf8), to: "\(folder)/text.jpg")
      let paths = ["good.jpg", "text.jpg", "gone.jpg"].map { "\(folder)/\($0)" }
      var skipped: [SkippedPicture] = []
      var found: [String] = []
      try ChosenPictures(paths, atMost: 9).forEach(skip: { skipped.append($0) }) { name, _ in found.append(name) }
      #expect(found == [paths[0]] && skipped.map(\.path) == [paths[1], paths[2]])
      #expect(skipped[0].reason == "it is no picture that decodes: it is a text file")
      #expect(skipped[1].reason == "No such file or directory")
      let error = #expect(throws: VisualizationError.self) {
        try ChosenPictures([paths[1]], atMost: 9).forEach(skip: { _ in }) { _, _ in }
      }
      #expect(error.map { "\($0)".hasPrefix("None of the 1 pictures can be used. The first is \(paths[1]): ") } == true)
    }
  }

  /// The views are the sampler's own, each at its place.
  @Test func viewsAreThoseThatTrainingCuts() throws {
    var settings = ViewSettings()
    (settings.globalSize, settings.localSize, settings.localViews) = (32, 16, 3)
    let picture = Picture(width: 50, height: 40, pixels: (0..<6000).map { UInt8(truncatingIfNeeded: $0 &* 11) })
    var sheet = ViewSheet(settings, seed: 4, cell: 16)
    let parameters = sheet.add("a", picture, image: 7, epoch: 2)
    let drawn = try sheet.drawn()
    var sampler = ViewSampler(settings: settings, seed: 4)
    let views = (0..<5).map { sampler.picture(ofView: $0, of: picture, image: 7, epoch: 2) }
    #expect(parameters == (0..<5).map { sampler.parameters(ofView: $0, of: picture, image: 7, epoch: 2) })
    let original = ContactSheet.Cell(picture.shrunk(toAtMost: 32))
    let layout = ContactSheet([ContactSheet.Row(title: "a", [original] + views.map { ContactSheet.Cell($0) })])
    for (view, shown) in views.enumerated() {
      let place = layout.place(row: 0, column: view + 1)
      #expect(pixels(in: place, of: drawn) == shown.pixels, "view \(view)")
    }
  }
}
