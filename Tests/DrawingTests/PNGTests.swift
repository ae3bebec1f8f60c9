import CPNG
import Drawing
import Testing
import Vision

@Suite struct PNGTests {
  /// What libpng reads of a file, as red, green, blue.
  private func pixels(of png: [UInt8]) throws -> (width: Int, height: Int, pixels: [UInt8]) {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    try #require(png_image_begin_read_from_memory(&image, png, png.count) != 0)
    image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
    var pixels = [UInt8](repeating: 0, count: Int(image.width * image.height * 3))
    try #require(png_image_finish_read(&image, nil, &pixels, 0, nil) != 0)
    return (Int(image.width), Int(image.height), pixels)
  }

  @Test(arguments: [(1, 1), (7, 3), (64, 200)]) func aPictureIsReadAsItWasWritten(width: Int, height: Int) throws {
    let picture = Picture(
      width: width, height: height, pixels: (0..<3 * width * height).map { UInt8(truncatingIfNeeded: $0 &* 37 >> 2) })
    let read = try pixels(of: picture.png())
    #expect(read.width == width && read.height == height && read.pixels == picture.pixels)
  }
}
