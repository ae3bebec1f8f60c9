import Testing
import Vision

/// WebP files as pictures.
@Suite struct WebPTests {
  private let width = Fixture.width
  private let height = Fixture.height

  /// Lossy, lossless, and with transparency, which is not looked at: to the bit as Pillow, of another version of libwebp.
  @Test(arguments: ["lossy", "lossless", "alpha"]) func pixelsArePillows(name: String) throws {
    let picture = try Picture(file: Fixture.bytes("\(name).webp"))
    #expect(picture.width == width && picture.height == height)
    #expect(picture.pixels == (try Fixture.pixels("webp-\(name)")))
  }

  @Test func anAnimatedOneIsNoPicture() throws {
    let bytes = try Fixture.bytes("animated.webp")
    #expect(
      throws: VisionError.undecodable(
        reason: "it is an animated WebP file: give its frames as pictures of their own")
    ) { try Picture(file: bytes) }
  }

  @Test(arguments: ["lossy", "lossless", "alpha"]) func whatIsCutOffIsRefused(name: String) throws {
    let whole = try Fixture.bytes("\(name).webp")
    for count in [12, 16, 25, 40, whole.count / 2, whole.count - 3] {
      #expect(throws: VisionError.self, "\(count) bytes") { try Picture(file: Array(whole.prefix(count))) }
    }
    #expect(throws: VisionError.undecodable(reason: "truncated: the bytes end before the picture does")) {
      try Picture(file: Array(whole.prefix(whole.count / 2)))
    }
  }

  @Test func damageIsNamed() throws {
    var bytes = try Fixture.bytes("lossless.webp")
    // The byte after the chunk's head is a signature.
    bytes[20] ^= 0xFF
    #expect(throws: VisionError.undecodable(reason: "damaged: libwebp cannot read its WebP data")) {
      try Picture(file: bytes)
    }
  }

  /// A header that claims the largest picture there is, in a file of a few bytes.
  @Test func whatClaimsTooMuchIsRefusedBeforeAllocating() throws {
    var bytes = try Fixture.bytes("lossy.webp")
    bytes.replaceSubrange(26..<30, with: [0xFF, 0x3F, 0xFF, 0x3F])
    #expect(
      throws: VisionError.undecodable(
        reason: "its header claims 16383 x 16383 pixels, and the limit is 100000000 in all")
    ) { try Picture(file: bytes) }
    let small = try Fixture.bytes("lossy.webp")
    #expect(throws: VisionError.self) { try Picture(file: small, pixelLimit: width * height - 1) }
    #expect(try Picture(file: small, pixelLimit: width * height).width == width)
  }

  /// In folders they are pictures like others, also under another name.
  @Test func aDataSetHasThem() throws {
    try withTemporaryFolder { root in
      for name in ["a.webp", "b.WEBP", "c.jpg"] { try put(Fixture.bytes("lossless.webp"), "\(root)/\(name)") }
      let data = try DataSet(root: root)
      #expect(data.count == 3)
      for index in 0..<3 {
        #expect(try Picture(file: data.read(index)).pixels == (try Fixture.pixels("webp-lossless")))
      }
    }
  }

  /// Damage of which libwebp sees nothing. With its vector instructions there are other pixels than without.
  @Test func unseenDamageDecodesAlikeOnEveryProcessor() throws {
    #expect(try Picture(file: Fixture.bytes("damaged.webp")).pixels == (try Fixture.pixels("webp-damaged")))
  }
}
