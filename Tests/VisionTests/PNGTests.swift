import CPNG
import Foundation
import TestSupport
import Testing
import Vision

/// PNG files as pictures.
@Suite struct PNGTests {
  /// Grey, grey and alpha, RGB, RGBA: to the bit, and what is transparent has the colour that the file has there.
  @Test(arguments: [(0, 1), (1, 2), (2, 3), (3, 4)]) func channelsBecomeRedGreenAndBlue(format: UInt32, channels: Int)
    throws
  {
    let (width, height) = (7, 5)
    let samples = PNGFile.samples(width * height * channels)
    let picture = try Picture(file: PNGFile.bytes(format, width: width, height: height, samples))
    #expect(picture.width == width && picture.height == height)
    for pixel in 0..<width * height {
      for channel in 0..<3 {
        let sample = samples[pixel * channels + (channels < 3 ? 0 : channel)]
        #expect(picture.pixels[3 * pixel + channel] == sample, "pixel \(pixel), channel \(channel)")
      }
    }
  }

  /// 16 bits of linear light, as this file says that they are, become 8 of sRGB: half of white is 128, not 54.
  @Test func sixteenBitsBecomeEight() throws {
    let levels: [UInt16] = [0, 65_535, 14_026]
    let picture = try Picture(file: PNGFile.bytes(UInt32(PNG_FORMAT_FLAG_LINEAR), width: 3, height: 1, levels))
    #expect(picture.pixels[0] == 0 && picture.pixels[3] == 255 && abs(Int(picture.pixels[6]) - 128) <= 3)
  }

  /// Of a file that does not say what its levels mean, the upper 8 bits stay: these are not linear.
  @Test func sixteenBitsWithoutAGammaAreLevelsLikeOthers() throws {
    let levels: [UInt16] = [0, 65_535, 257 * 54]
    let whole = try PNGFile.bytes(UInt32(PNG_FORMAT_FLAG_LINEAR), width: 3, height: 1, levels)
    let picture = try Picture(file: PNGFile.withoutWordsOnColour(whole))
    #expect(picture.pixels == [0, 0, 0, 255, 255, 255, 54, 54, 54])
  }

  /// As large as may be: a side of 10,000 pixels, and not one row more.
  @Test func tenThousandPixelsASide() throws {
    let side = 10_000
    #expect(side * side == Picture.defaultPixelLimit)
    let rows = [UInt8](repeating: 200, count: side * (side + 1))
    let picture = try Picture(file: PNGFile.bytes(0, width: side, height: side, Array(rows.prefix(side * side))))
    #expect(picture.width == side && picture.height == side && picture.pixels.count == 3 * side * side)
    #expect(picture.pixels.first == 200 && picture.pixels.last == 200)
    let taller = try PNGFile.bytes(0, width: side, height: side + 1, rows)
    #expect(
      throws: VisionError.undecodable(
        reason: "its header claims 10000 x 10001 pixels, and the limit is 100000000 in all")
    ) { try Picture(file: taller) }
  }

  @Test func theBytesSayWhatAFileIs() throws {
    let picture = try Picture(file: PNGFile.bytes(PNGFile.colour, width: 8, height: 8, PNGFile.samples(192)))
    #expect(picture.pixels == PNGFile.samples(192))
    #expect(try Picture(file: picture.jpeg()).width == 8)
    #expect(throws: VisionError.undecodable(reason: "it is a text file")) { try Picture(file: Array("words".utf8)) }
    #expect(throws: VisionError.undecodable(reason: "the file is empty")) { try Picture(file: []) }
  }

  /// In folders they are pictures like JPEG files, also under another name.
  @Test func aDataSetHasThem() throws {
    try withTemporaryDirectory { root in
      let bytes = try PNGFile.bytes(PNGFile.colour, width: 8, height: 8, PNGFile.samples(192))
      for name in ["a.png", "b.PNG", "c.jpg"] { try Data(bytes).write(to: URL(fileURLWithPath: "\(root)/\(name)")) }
      #expect(try Picture(at: "\(root)/a.png").pixels == PNGFile.samples(192))
      let data = try DataSet(root: root)
      #expect(data.count == 3)
      for index in 0..<3 { #expect(try Picture(file: data.read(index)).pixels == PNGFile.samples(192)) }
    }
  }

  @Test func whatIsCutOffOrTooLargeIsRefused() throws {
    let whole = try PNGFile.bytes(PNGFile.colour, width: 40, height: 30, PNGFile.samples(3600))
    for count in [8, 20, 33, 60, whole.count / 2] {
      #expect(throws: VisionError.self, "\(count) bytes") { try Picture(file: Array(whole.prefix(count))) }
    }
    #expect(
      throws: VisionError.undecodable(
        reason: "its header claims 40 x 30 pixels, and the limit is 1199 in all")
    ) { try Picture(file: whole, pixelLimit: 1199) }
    // A bomb: the header alone claims more than there is memory for.
    var bomb = whole
    bomb.replaceSubrange(16..<24, with: [0, 0, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF])
    #expect(throws: VisionError.self) { try Picture(file: bomb) }
  }
}
