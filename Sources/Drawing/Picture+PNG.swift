import CPNG
import Vision

extension Picture {
  /// The picture as a PNG file: 8 bits a channel, red, green, blue.
  /// - Throws: `DrawingError.notEncoded`, in practice for want of memory.
  public func png() throws(DrawingError) -> [UInt8] {
    var image = png_image()
    image.version = png_uint_32(PNG_IMAGE_VERSION)
    image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
    image.width = png_uint_32(width)
    image.height = png_uint_32(height)
    var isDone = false
    let bytes = [UInt8](unsafeUninitializedCapacity: massl_png_size_at_most(image)) { memory, count in
      count = memory.count
      isDone = png_image_write_to_memory(&image, memory.baseAddress, &count, 0, pixels, 0, nil) != 0
      if !isDone { count = 0 }
    }
    guard isDone else { throw .notEncoded(reason: image.words) }
    return bytes
  }
}
