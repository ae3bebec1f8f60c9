import Numerics

/// The digest of the pixels of a few JPEG files of each kind: grey, colour with chroma of half and of full height,
/// progressive, CMYK. Two processes whose digests are equal decode alike.
///
/// - Throws: `VisionError`: nothing, with a libjpeg that works.
public func decodingProbe() throws -> Digest {
  // Neither side is a multiple of a block, and sizes of both are odd: edges and chroma's last column count.
  let (width, height) = (61, 57)
  var stream = RandomStream(RandomKey(seed: 2, purpose: .synthesis))
  func pixels(channels: Int) -> [UInt8] {
    // Steep slopes with noise on them: all coefficients are in use.
    (0..<width * height * channels).map { UInt8(truncatingIfNeeded: $0 * 7 / channels + Int(stream.uniform() * 64)) }
  }
  var files: [[UInt8]] = []
  for (channels, progressive, halves) in [
    (1, false, true), (3, false, true), (3, false, false), (3, true, true), (4, false, true),
  ] {
    for quality in [60, 95] {
      files.append(
        encodeJPEG(
          pixels(channels: channels), width: width, height: height, channels: channels, quality: quality,
          progressive: progressive, halvesChromaRows: halves))
    }
  }
  let digest = DigestState()
  for file in files { digest.update(try Picture(jpeg: file).pixels) }
  return digest.digest
}
