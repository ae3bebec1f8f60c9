import Numerics
import Testing
import Vision

@Suite struct SynthesisTests {
  private func synthesis(_ images: Int, classes: Int = 8) throws -> Synthesis {
    var settings = Synthesis.Settings(images: images)
    (settings.classes, settings.size) = (classes, 32)
    return try Synthesis(settings)
  }

  @Test func picturesDependOnSeedAndNumberAlone() throws {
    let (few, many) = (try synthesis(10), try synthesis(100))
    #expect(few.jpeg(3) == many.jpeg(3))
    #expect(few.jpeg(3) != few.jpeg(4))
    var settings = few.settings
    settings.seed = 1
    #expect(try Synthesis(settings).jpeg(3) != few.jpeg(3))
  }

  @Test(arguments: [2, 8, 12]) func aWrittenSetHasItsClassesInBothParts(classes: Int) throws {
    try withTemporaryFolder { root in
      let synthesis = try synthesis(classes * 10, classes: classes)
      try synthesis.write(to: "\(root)/set")
      for (part, each) in [("train", 8), ("test", 2)] {
        let data = try DataSet(root: "\(root)/set/\(part)")
        let labels = try #require(data.labels)
        #expect(Set(labels.names) == Set((0..<classes).map(synthesis.className)))
        for label in 0..<classes { #expect(labels.classes.count { $0 == label } == each) }
        #expect(try Picture(jpeg: data.read(0)).width == 32)
      }
      #expect(throws: VisionError.notEmpty(path: "\(root)/set")) { try synthesis.write(to: "\(root)/set") }
    }
  }

  @Test func meanLevelSaysNothingOfTheClass() throws {
    let synthesis = try synthesis(800)
    var sums = [Double](repeating: 0, count: 8)
    for index in 0..<800 {
      let pixels = try Picture(jpeg: synthesis.jpeg(index)).pixels
      sums[synthesis.label(index)] += pixels.reduce(0) { $0 + Double($1) } / Double(pixels.count) / 100
    }
    // A class's mean of 100 pictures deviates by about 2 levels.
    #expect(sums.max()! - sums.min()! < 12)
  }

  @Test func impossibleSettingsAreRefused() {
    #expect(throws: VisionError.impossible(setting: "classes", value: 40, allowed: "2 to 12")) {
      try synthesis(10, classes: 40)
    }
    #expect(throws: VisionError.impossible(setting: "images", value: 0, allowed: "at least 1")) { try synthesis(0) }
  }
}
