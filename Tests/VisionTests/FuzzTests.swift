import TestSupport
import Testing
import Vision

@Suite("Foreign bytes are a picture, or are refused")
struct FuzzTests {
  @Test func jpegFiles() throws {
    let pixelLimit = 1 << 18
    let report = Fuzzing("JPEG files", percent: 14, filter: "VisionTests.FuzzTests").run(
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
}
