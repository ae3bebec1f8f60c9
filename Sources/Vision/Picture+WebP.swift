// WebP bytes to pictures: the thin edge over libwebp.

import CWebP

extension Picture {
  /// How WebP files begin; between the two words stands a size.
  static let webPSignature = (container: Array("RIFF".utf8), kind: Array("WEBP".utf8))

  /// Whether bytes begin as a WebP file does.
  static func isWebP(_ bytes: some Collection<UInt8>) -> Bool {
    bytes.starts(with: webPSignature.container) && bytes.dropFirst(8).starts(with: webPSignature.kind)
  }

  /// Decodes a WebP file of one picture, lossy or lossless. Transparency is left out, as Pillow's conversion to RGB does.
  /// - Parameter pixelLimit: a header that claims more pixels is refused before they are allocated.
  /// - Throws: `VisionError.undecodable`, and nothing else, whatever the bytes are.
  public init(webP bytes: [UInt8], pixelLimit: Int = Picture.defaultPixelLimit) throws(VisionError) {
    _ = Self.webPComputesPlainly
    var features = WebPBitstreamFeatures()
    var status = WebPGetFeatures(bytes, bytes.count, &features)
    guard status == VP8_STATUS_OK else { throw .undecodable(reason: status.words) }
    guard features.has_animation == 0 else {
      throw .undecodable(reason: "it is an animated WebP file: give its frames as pictures of their own")
    }
    let (width, height) = (Int(features.width), Int(features.height))
    guard width > 0, height > 0, width * height <= pixelLimit else {
      throw .undecodable(reason: "its header claims \(width) x \(height) pixels, and the limit is \(pixelLimit) in all")
    }
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { memory, count in
      status = Self.decode(bytes, into: memory, stride: width * 3)
      count = status == VP8_STATUS_OK ? width * height * 3 : 0
    }
    guard status == VP8_STATUS_OK else { throw .undecodable(reason: status.words) }
    self.init(width: width, height: height, pixels: pixels)
  }

  /// Damage that libwebp does not see decodes to other pixels with vector instructions than without.
  private static let webPComputesPlainly: Void = massl_webp_use_no_vector_instructions()

  private static func decode(
    _ bytes: [UInt8], into memory: UnsafeMutableBufferPointer<UInt8>, stride: Int
  ) -> VP8StatusCode {
    var configuration = WebPDecoderConfig()
    guard WebPInitDecoderConfig(&configuration) != 0 else { return VP8_STATUS_INVALID_PARAM }
    configuration.output.colorspace = MODE_RGB
    configuration.output.is_external_memory = 1
    configuration.output.u.RGBA = WebPRGBABuffer(
      rgba: memory.baseAddress, stride: CInt(stride), size: memory.count)
    return WebPDecode(bytes, bytes.count, &configuration)
  }
}

extension VP8StatusCode {
  /// What libwebp's answer means for people.
  fileprivate var words: String {
    switch self {
    case VP8_STATUS_NOT_ENOUGH_DATA: "truncated: the bytes end before the picture does"
    case VP8_STATUS_BITSTREAM_ERROR: "damaged: libwebp cannot read its WebP data"
    case VP8_STATUS_UNSUPPORTED_FEATURE: "libwebp does not know a feature of this WebP file"
    case VP8_STATUS_OUT_OF_MEMORY: "there is no memory for it"
    default: "libwebp refuses it (status \(rawValue))"
    }
  }
}

/// The library that WebP pictures are decoded by.
public enum WebPLibrary {
  /// As it was loaded: "1.2.4".
  public static var version: String {
    let version = WebPGetDecoderVersion()
    return "\(version >> 16).\(version >> 8 & 0xFF).\(version & 0xFF)"
  }
}
