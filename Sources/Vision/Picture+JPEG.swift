// JPEG bytes to pictures and back: the thin edge over libjpeg.

import CJPEG
import Glibc

extension Picture {
  /// Decodes a JPEG file: baseline or progressive; grey, YCbCr, RGB, CMYK or YCCK (see CJPEG for the choices made).
  ///
  /// A file that libjpeg warns of is refused as one that it cannot decode: what follows the damage would be made up.
  /// - Parameter pixelLimit: a header that claims more pixels is refused before they are allocated.
  /// - Throws: `VisionError.undecodable`, and nothing else, whatever the bytes are.
  public init(jpeg bytes: [UInt8], pixelLimit: Int = Picture.defaultPixelLimit) throws(VisionError) {
    guard bytes.count >= 2, bytes[0] == 0xFF, bytes[1] == 0xD8 else {
      guard !bytes.isEmpty else { throw .undecodable(reason: "the file is empty") }
      throw .undecodable(
        reason: FileKind(of: bytes).map { "it is \($0.name)" } ?? "it starts as neither JPEG nor PNG nor WebP files do")
    }
    do {
      self = try bytes.withUnsafeBufferPointer { try Picture(jpeg: $0, pixelLimit: pixelLimit) }
    } catch let error as VisionError {
      throw error
    } catch {
      throw .undecodable(reason: "\(error)")
    }
  }

  private init(jpeg bytes: UnsafeBufferPointer<UInt8>, pixelLimit: Int) throws {
    var report = massl_jpeg_report()
    guard let decoder = massl_jpeg_open(bytes.baseAddress, bytes.count, &report) else {
      throw VisionError.undecodable(reason: report.errorText)
    }
    defer { massl_jpeg_close(decoder) }
    let (width, height) = (Int(massl_jpeg_width(decoder)), Int(massl_jpeg_height(decoder)))
    guard width > 0, height > 0, width * height <= pixelLimit else {
      throw VisionError.undecodable(
        reason: "its header claims \(width) x \(height) pixels, and the limit is \(pixelLimit) in all")
    }
    let pixels = try [UInt8](unsafeUninitializedCapacity: width * height * 3) { memory, count in
      guard massl_jpeg_read(decoder, memory.baseAddress, &report) == 1 else {
        throw VisionError.undecodable(reason: report.errorText)
      }
      count = width * height * 3
    }
    self.init(width: width, height: height, pixels: pixels)
  }

  /// Encodes the picture as a JPEG file, chroma at half size.
  /// - Parameter quality: 1...100.
  public func jpeg(quality: Int = 92, progressive: Bool = false) -> [UInt8] {
    encodeJPEG(pixels, width: width, height: height, channels: 3, quality: quality, progressive: progressive)
  }
}

/// Encodes `height * width * channels` bytes: 1 channel is grey, 3 are RGB, 4 inverted CMYK.
/// - Parameter halvesChromaRows: of an RGB picture, whose chroma has half the columns anyway.
func encodeJPEG(
  _ pixels: [UInt8], width: Int, height: Int, channels: Int, quality: Int, progressive: Bool = false,
  halvesChromaRows: Bool = true
) -> [UInt8] {
  precondition(pixels.count == width * height * channels && [1, 3, 4].contains(channels))
  precondition(width <= 65_500 && height <= 65_500 && 1...100 ~= quality)
  var report = massl_jpeg_report()
  var bytes: UnsafeMutablePointer<UInt8>?
  var count = 0
  let done = massl_jpeg_encode(
    pixels, UInt32(width), UInt32(height), Int32(channels), Int32(quality), progressive ? 1 : 0,
    halvesChromaRows ? 1 : 0, &bytes, &count, &report)
  guard done == 1, let bytes else { fatalError("libjpeg does not encode: \(report.errorText)") }
  defer { free(bytes) }
  return Array(UnsafeBufferPointer(start: bytes, count: count))
}

/// The library behind `Picture.init(jpeg:)`.
public enum JPEGLibrary {
  /// As this was compiled with it, and the name of the file that was loaded, which has a version of its own:
  /// "libjpeg-turbo 2.1.5, libjpeg.so.62.3.0".
  public static let version: String = {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX))
    let headers = String(cString: massl_jpeg_headers())
    guard massl_jpeg_file(&path, path.count) == 1 else { return headers }
    let file = String(decoding: path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return headers + ", " + (file.split(separator: "/").last ?? "")
  }()
}

extension massl_jpeg_report {
  fileprivate var errorText: String {
    withUnsafeBytes(of: error) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
