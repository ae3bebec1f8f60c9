// PNG bytes to pictures: the thin edge over libpng.

import CPNG

extension Picture {
  /// How PNG files begin.
  static let pngSignature: [UInt8] = [0x89] + "PNG\r\n".utf8 + [0x1A, 0x0A]

  /// Decodes a PNG file of any kind: grey, palette or colour, 1 to 16 bits, interlaced or not. Transparency is left out, as
  /// Pillow's conversion to RGB does; 16 bits become 8, and a gamma other than sRGB's is taken into account.
  /// - Parameter pixelLimit: a header that claims more pixels is refused before they are allocated.
  /// - Throws: `VisionError.undecodable`, and nothing else, whatever the bytes are.
  public init(png bytes: [UInt8], pixelLimit: Int = Picture.defaultPixelLimit) throws(VisionError) {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    // It reads from `bytes` until the pixels are there.
    defer { png_image_free(&image) }
    let result = bytes.withUnsafeBufferPointer { bytes in
      Self.pixels(of: &image, bytes, pixelLimit: pixelLimit)
    }
    self.init(width: Int(image.width), height: Int(image.height), pixels: try result.get())
  }

  private static func pixels(
    of image: inout png_image, _ bytes: UnsafeBufferPointer<UInt8>, pixelLimit: Int
  ) -> Result<[UInt8], VisionError> {
    guard png_image_begin_read_from_memory(&image, bytes.baseAddress, bytes.count) != 0 else {
      return .failure(.undecodable(reason: "libpng: \(image.words)"))
    }
    let (width, height) = (Int(image.width), Int(image.height))
    guard width > 0, height > 0, width * height <= pixelLimit else {
      return .failure(
        .undecodable(reason: "its header claims \(width) x \(height) pixels, and the limit is \(pixelLimit) in all"))
    }
    // With the alpha channel, for without it libpng would paint what is transparent on a background.
    image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA)
    // Without a word on its gamma a file of 16 bits is like others.
    image.flags |= png_uint_32(PNG_IMAGE_FLAG_16BIT_sRGB)
    var isWhole = false
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 4) { memory, count in
      isWhole = png_image_finish_read(&image, nil, memory.baseAddress, 0, nil) != 0
      count = isWhole ? width * height * 3 : 0
      // In place, so that a large picture is in memory once.
      for pixel in 0..<count / 3 {
        for channel in 0..<3 { memory[3 * pixel + channel] = memory[4 * pixel + channel] }
      }
    }
    return isWhole ? .success(pixels) : .failure(.undecodable(reason: "libpng: \(image.words)"))
  }
}

extension png_image {
  /// What libpng says of the last call.
  package var words: String {
    withUnsafeBytes(of: message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}

/// The library that PNG pictures are decoded by.
public enum PNGLibrary {
  /// As it was loaded: "1.6.39".
  public static var version: String { png_get_libpng_ver(nil).map { String(cString: $0) } ?? "unknown" }
}
