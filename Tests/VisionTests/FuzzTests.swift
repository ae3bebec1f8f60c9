import TestSupport
import Testing
import Vision

@Suite("Foreign bytes are pictures, or are refused")
struct FuzzTests {
  @Test func jpegFiles() throws {
    let pixelLimit = 1 << 18
    let report = Fuzzing("JPEG files", percent: 7, filter: "VisionTests.FuzzTests").run(
      corpus: try Fixture.names.map(Fixture.jpeg),
      refusing: { if case VisionError.undecodable = $0 { true } else { false } }
    ) { input, _ in
      let picture = try Picture(jpeg: input, pixelLimit: pixelLimit)
      guard picture.width * picture.height <= pixelLimit,
        picture.pixels.count == picture.width * picture.height * 3
      else { throw Fuzzing.Mistake("\(picture.width) x \(picture.height) with \(picture.pixels.count) bytes") }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted / 4)
  }

  @Test func webPFiles() throws {
    let pixelLimit = 1 << 18
    let corpus = try ["lossy", "lossless", "alpha", "animated", "turned"].map { try Fixture.bytes("\($0).webp") }
    let report = Fuzzing("WebP files", percent: 3, filter: "VisionTests.FuzzTests").run(
      corpus: corpus, refusing: { if case VisionError.undecodable = $0 { true } else { false } }
    ) { input, _ in
      let picture = try Picture(file: input, upright: true, pixelLimit: pixelLimit)
      guard picture.width * picture.height <= pixelLimit,
        picture.pixels.count == picture.width * picture.height * 3
      else { throw Fuzzing.Mistake("\(picture.width) x \(picture.height) with \(picture.pixels.count) bytes") }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.refused > 0)
  }

  /// Of any bytes, EXIF data say something or nothing.
  @Test func orientations() throws {
    let corpus = try ["turned.jpg", "turned.png", "turned.webp"].map { try Fixture.bytes($0) }
    let report = Fuzzing("orientations", percent: 1, filter: "VisionTests.FuzzTests").run(
      corpus: corpus, refusing: { _ in false }
    ) { input, _ in _ = PictureOrientation(ofFile: input) }
    #expect(report.failures == [])
  }

  @Test func pngFiles() throws {
    let pixelLimit = 1 << 18
    let corpus = try [1, 2, 3, 4].map { (channels: Int) in
      try PNGFile.bytes(UInt32(channels - 1), width: 16, height: 16, PNGFile.samples(256 * channels))
    }
    let report = Fuzzing("PNG files", percent: 3, filter: "VisionTests.FuzzTests").run(
      corpus: corpus, refusing: { if case VisionError.undecodable = $0 { true } else { false } }
    ) { input, _ in
      let picture = try Picture(file: input, pixelLimit: pixelLimit)
      guard picture.width * picture.height <= pixelLimit,
        picture.pixels.count == picture.width * picture.height * 3
      else { throw Fuzzing.Mistake("\(picture.width) x \(picture.height) with \(picture.pixels.count) bytes") }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.refused > 0)
  }

  /// Foreign bytes are a data set, or are refused in words.
  @Test func tars() throws {
    var long = TarBytes()
    long.add("L", Array("some/long.jpg".utf8), type: "L", isGNU: true)
    long.add("x", [1, 2, 3], isGNU: true)
    long.add("p", TarBytes.record("path", "another/long.jpg") + TarBytes.record("size", "2"), type: "x")
    long.add("y", [1, 2])
    long.add("y.cls", [UInt8(ascii: "3")])
    try withTemporaryFolder { folder in
      let report = Fuzzing("tars", percent: 2, filter: "VisionTests.FuzzTests").run(
        corpus: [BadTarTests.whole.ended, long.ended], refusing: { $0 is VisionError }
      ) { input, random in
        var input = input
        // With a sum that is right, so that the rest is read too.
        let header = 512 * Int(random.next() % UInt64(max(1, input.count / 512)))
        if input.count >= header + 512, random.next() % 2 == 0 {
          input.replaceSubrange(header + 148..<header + 156, with: "        ".utf8)
          let sum = input[header..<header + 512].reduce(0) { $0 + Int($1) }
          input.replaceSubrange(header + 148..<header + 156, with: TarBytes.octal(sum, digits: 6) + [0, 32])
        }
        try put(input, "\(folder)/a.tar")
        let data = try DataSet(root: "\(folder)/a.tar")
        for index in 0..<data.count { _ = try data.read(index) }
      }
      #expect(report.failures == [])
    }
  }
}
