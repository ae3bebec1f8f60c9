import CPNG
import Testing

/// PNG files of what a test likes.
enum PNGFile {
  /// Bytes in which neighbours differ.
  static func samples(_ count: Int) -> [UInt8] {
    (0..<count).map { (index: Int) -> UInt8 in UInt8(truncatingIfNeeded: index * 37 + index / 5) }
  }

  static let colour = UInt32(PNG_FORMAT_FLAG_COLOR)

  /// Encodes samples.
  /// - Parameters:
  ///   - format: libpng's: 0 is grey, 1 has alpha too, 2 is RGB, 3 RGBA; with `PNG_FORMAT_FLAG_LINEAR` of 16 bits.
  ///   - samples: channels interleaved, row by row.
  static func bytes<Sample: FixedWidthInteger>(
    _ format: UInt32, width: Int, height: Int, _ samples: [Sample]
  ) throws -> [UInt8] {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    (image.format, image.width, image.height) = (format, png_uint_32(width), png_uint_32(height))
    var isDone = false
    let bytes = [UInt8](unsafeUninitializedCapacity: massl_png_size_at_most(image)) { memory, count in
      count = memory.count
      isDone = samples.withUnsafeBytes { raw in
        png_image_write_to_memory(&image, memory.baseAddress, &count, 0, raw.baseAddress, 0, nil) != 0
      }
      if !isDone { count = 0 }
    }
    try #require(isDone)
    return bytes
  }

  /// The same file, less what it says of the meaning of its levels.
  static func withoutWordsOnColour(_ bytes: [UInt8]) -> [UInt8] {
    var result = Array(bytes.prefix(8))
    var place = 8
    while place + 12 <= bytes.count {
      let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
      let chunk = bytes[place..<min(place + 12 + length, bytes.count)]
      let name = String(decoding: chunk.dropFirst(4).prefix(4), as: UTF8.self)
      if !["gAMA", "cHRM", "sRGB", "iCCP"].contains(name) { result += chunk }
      place += 12 + length
    }
    return result
  }
}
