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

  @Test func brightnessAndContrastSayNothingOfTheClass() throws {
    let synthesis = try Synthesis(Synthesis.Settings(images: 400))
    var (means, deviations) = ([Double](repeating: 0, count: 8), [Double](repeating: 0, count: 8))
    for index in 0..<400 {
      let levels = try levels(synthesis, index)
      means[synthesis.label(index)] += Double(levels.reduce(0, +)) / Double(levels.count) / 50
      deviations[synthesis.label(index)] += variance(levels).squareRoot() / 50
    }
    // A class's means of 50 pictures deviate by about 1 level.
    #expect(means.max()! - means.min()! < 5)
    #expect(deviations.max()! - deviations.min()! < 5)
  }

  /// Direction and grain are there to be seen: three numbers about neighbouring pixels' differences tell them.
  @Test func differencesOfNeighbouringPixelsTellTheClass() throws {
    let synthesis = try Synthesis(Synthesis.Settings(images: 400))
    var right = [Int](repeating: 0, count: 8)
    for index in 0..<400 {
      let seen = classSeen(in: try levels(synthesis, index), size: 64)
      if seen == synthesis.className(synthesis.label(index)) { right[synthesis.label(index)] += 1 }
    }
    #expect(right.allSatisfy { $0 >= 47 }, "of 50 a class: \(right)")
  }

  /// The waves lie elsewhere in each picture: 50 of a class add up to grey, so nothing linear in the pixels tells it.
  @Test func noPixelSaysAnythingOfTheClass() throws {
    let synthesis = try Synthesis(Synthesis.Settings(images: 400))
    var sums = [[Float]](repeating: [Float](repeating: 0, count: 64 * 64), count: 8)
    for index in 0..<400 {
      let levels = try levels(synthesis, index)
      for pixel in levels.indices { sums[synthesis.label(index)][pixel] += levels[pixel] / 50 }
    }
    // One picture's deviation is 32 to 44 levels, that of the mean of 50 a seventh of it.
    for sum in sums { #expect(variance(sum).squareRoot() < 8) }
  }

  @Test func impossibleSettingsAreRefused() {
    #expect(throws: VisionError.impossible(setting: "classes", value: 40, allowed: "2 to 12")) {
      try synthesis(10, classes: 40)
    }
    #expect(throws: VisionError.impossible(setting: "images", value: 0, allowed: "at least 1")) { try synthesis(0) }
  }
}

// MARK: - What a picture's pixels say

/// The grey levels, `[size, size]`.
private func levels(_ synthesis: Synthesis, _ index: Int) throws -> [Float] {
  let pixels = try Picture(jpeg: synthesis.jpeg(index)).pixels
  return stride(from: 0, to: pixels.count, by: 3).map { Float(pixels[$0]) }
}

private func variance(_ levels: [Float]) -> Double {
  let mean = levels.reduce(0, +) / Float(levels.count)
  return Double(levels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }) / Double(levels.count)
}

/// The class that the differences to the right (across) and downward tell: which are larger, whether they go together,
/// and how large they are beside the levels' variance (4 sin^2 of half a pixel's phase, for a wave).
private func classSeen(in levels: [Float], size: Int) -> String {
  var (across, down, both) = (Float(0), Float(0), Float(0))
  for y in 0..<size - 1 {
    for x in 0..<size - 1 {
      let here = levels[y * size + x]
      let (right, below) = (levels[y * size + x + 1] - here, levels[(y + 1) * size + x] - here)
      across += right * right
      down += below * below
      both += right * below
    }
  }
  let share = across / (across + down)
  let together = abs(both) / (across * down).squareRoot()
  let direction =
    switch share {
    case 0.75...: "upright"
    case ...0.25: "level"
    default: together > 0.4 ? "slanting" : "none"
    }
  let steepness = Double(across + down) / Double((size - 1) * (size - 1)) / variance(levels)
  return "\(steepness > 0.7 ? "fine" : "coarse")-\(direction)"
}
