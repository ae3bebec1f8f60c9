import Testing
import Vision

@Suite struct DecodingTests {
  @Test(arguments: Fixture.names) func matchesPillow(name: String) throws {
    let picture = try Picture(jpeg: Fixture.jpeg(name))
    #expect(picture.width == Fixture.width)
    #expect(picture.height == Fixture.height)
    // Chroma upsampling may differ by a level from one release of libjpeg to the next.
    #expect(difference(picture.pixels, try Fixture.pixels(name)).largest <= 1)
  }

  @Test(arguments: ["baseline", "progressive", "ycck"]) func anyTruncationIsRefused(name: String) throws {
    let whole = try Fixture.jpeg(name)
    for count in 0..<whole.count {
      #expect(throws: VisionError.self, "\(count) bytes") { _ = try Picture(jpeg: Array(whole[..<count])) }
    }
  }

  @Test func truncationIsNamed() throws {
    let whole = try Fixture.jpeg("baseline")
    #expect(throws: VisionError.undecodable(reason: "truncated: the bytes end before the picture does")) {
      _ = try Picture(jpeg: Array(whole.dropLast(200)))
    }
  }

  /// libjpeg would go on after any of these, with what it makes up, and what that is depends on the library.
  @Test func whatLibjpegWarnsOfIsRefused() throws {
    let whole = try Fixture.jpeg("baseline")
    let end = whole.count - 2
    #expect(Array(whole[end...]) == [0xFF, 0xD9])
    // More than the decoder has read ahead.
    let withStrayBytes = whole[..<end] + [UInt8](repeating: 1, count: 60) + whole[end...]
    let error = #expect(throws: VisionError.self) { _ = try Picture(jpeg: Array(withStrayBytes)) }
    let reason = try #require("\(error!)".split(separator: "'").dropFirst().first)
    #expect(reason.hasPrefix("Corrupt JPEG data: ") && reason.hasSuffix(" extraneous bytes before marker 0xd9"))
    // Bytes after the end are no part of the picture.
    #expect(try Picture(jpeg: whole + [1, 2, 3]).pixels == Picture(jpeg: whole).pixels)
  }

  /// A block's mean of 19 * 255 is far beyond white. libjpeg-turbo's C code takes the level's last ten bits, which stand
  /// for black; its vector instructions make it white.
  @Test func whatNoEncoderWritesIsDecodedInTheSameWayByAllProcessors() throws {
    let zeros = [UInt8](repeating: 0, count: 15)
    var jpeg: [UInt8] = [0xFF, 0xD8]
    // All coefficients times 255; 8 x 8 pixels, grey.
    jpeg += [0xFF, 0xDB, 0, 67, 0]
    jpeg += [UInt8](repeating: 255, count: 64)
    jpeg += [0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]
    // One code each, '0': a mean of 5 bits follows; there are no more coefficients.
    jpeg += [0xFF, 0xC4, 0, 20, 0x00, 1]
    jpeg += zeros
    jpeg += [5, 0xFF, 0xC4, 0, 20, 0x10, 1]
    jpeg += zeros
    jpeg += [0, 0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]
    // 0 10011 0, filled up with a one.
    jpeg += [0b0100_1101, 0xFF, 0xD9]
    let picture = try Picture(jpeg: jpeg)
    #expect(picture.pixels == [UInt8](repeating: 0, count: 8 * 8 * 3))
  }

  /// A file of a few hundred bytes, of which libjpeg warns of nothing, that passes over the picture once a scan.
  @Test func moreScansThanAPictureNeedsAreRefused() throws {
    #expect(try Picture(jpeg: grey(scans: 100)).pixels == [UInt8](repeating: 128, count: 8 * 8 * 3))
    #expect(throws: VisionError.undecodable(reason: "it has more scans than the 100 that a picture may have")) {
      _ = try Picture(jpeg: grey(scans: 101))
    }
  }

  /// A progressive picture of 8 x 8 grey pixels: a scan for the mean, then one for each bit of each other coefficient.
  private func grey(scans: Int) -> [UInt8] {
    let zeros = [UInt8](repeating: 0, count: 15)
    var jpeg: [UInt8] = [0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0]
    jpeg += [UInt8](repeating: 1, count: 64)
    jpeg += [0xFF, 0xC2, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]
    // One code each, '0': the mean is zero; there are no more coefficients.
    for table in [0x00, 0x10] as [UInt8] { jpeg += [0xFF, 0xC4, 0, 20, table, 1] + zeros + [0] }
    func scan(_ coefficient: UInt8, bits: UInt8) -> [UInt8] {
      [0xFF, 0xDA, 0, 8, 1, 1, 0, coefficient, coefficient, bits, 0b0111_1111]
    }
    jpeg += scan(0, bits: 0)
    for number in 1..<scans {
      // First without the last bit, then it alone.
      jpeg += scan(UInt8((number + 1) / 2), bits: number % 2 == 1 ? 0x01 : 0x10)
    }
    return jpeg + [0xFF, 0xD9]
  }

  @Test func theProbeDecodesTheSameTwice() throws {
    #expect(try decodingProbe() == decodingProbe())
    #expect(JPEGLibrary.version.hasPrefix("libjpeg") && JPEGLibrary.version.contains("libjpeg.so"))
  }

  @Test func textIsNoPicture() {
    let error = #expect(throws: VisionError.self) { _ = try Picture(jpeg: Array("hello".utf8)) }
    #expect(
      error?.description == "not a JPEG, PNG or WebP picture that can be decoded: it is a text file")
    #expect(throws: VisionError.undecodable(reason: "the file is empty")) { _ = try Picture(jpeg: []) }
    #expect(throws: VisionError.undecodable(reason: "it starts as neither JPEG nor PNG nor WebP files do")) {
      _ = try Picture(jpeg: [0x0A] + Fixture.jpeg("baseline"))
    }
  }

  @Test func hugeClaimsAreRefusedBeforeAllocating() throws {
    let jpeg = claiming(width: 65_000, height: 65_000, in: try Fixture.jpeg("baseline"))
    #expect(
      throws: VisionError.undecodable(
        reason: "its header claims 65000 x 65000 pixels, and the limit is 100000000 in all")
    ) { _ = try Picture(jpeg: jpeg) }
  }

  @Test(arguments: ["baseline", "progressive"]) func sizesThatLieAreRefused(name: String) throws {
    let jpeg = claiming(width: 9_000, height: 9_000, in: try Fixture.jpeg(name))
    #expect(throws: VisionError.undecodable(reason: "damaged: a scan has fewer pixels than its header claims")) {
      _ = try Picture(jpeg: jpeg)
    }
  }

  /// The scan that refines the mean of each block, many times: a few bytes each, and all of the picture to look at.
  @Test func aScanThatComesAgainIsRefused() throws {
    let whole = try Fixture.jpeg("progressive")
    let markers = whole.indices.dropLast().filter { whole[$0] == 0xFF && ![0, 0xFF].contains(whole[$0 + 1]) }
    // Three channels, coefficients 0 to 0, bit 0 after bit 1.
    let start = try #require(
      markers.first {
        whole[$0 + 1] == 0xDA && whole[$0 + 4] == 3 && Array(whole[($0 + 11)...($0 + 13)]) == [0, 0, 0x10]
      })
    let end = try #require(markers.first { $0 > start })
    let scan = whole[start..<end]
    for copies in [2, 1000] {
      let repeated = [ArraySlice<UInt8>](repeating: scan, count: copies).joined()
      let jpeg = whole[..<start] + repeated + whole[end...]
      #expect(throws: VisionError.self) { try Picture(jpeg: Array(jpeg)) }
    }
  }

  @Test(arguments: ["baseline", "progressive", "cmyk"]) func damageNeverTraps(name: String) throws {
    let whole = try Fixture.jpeg(name)
    var state: UInt32 = 1
    var refused = 0
    for _ in 0..<500 {
      var damaged = whole
      for _ in 0..<3 {
        state = state &* 1_664_525 &+ 1_013_904_223
        damaged[Int(state >> 8) % damaged.count] = UInt8(truncatingIfNeeded: state >> 3)
      }
      do {
        let picture = try Picture(jpeg: damaged, pixelLimit: 1_000_000)
        #expect(picture.pixels.count == picture.width * picture.height * 3)
      } catch {
        refused += 1
      }
    }
    #expect(1..<500 ~= refused, "\(refused) of 500")
  }

  @Test(arguments: [false, true]) func whatIsEncodedComesBack(progressive: Bool) throws {
    let picture = try Fixture.picture()
    let back = try Picture(jpeg: picture.jpeg(quality: 98, progressive: progressive))
    #expect(difference(back.pixels, picture.pixels).mean < 4)
  }

  /// Writes other sizes into the frame header.
  private func claiming(width: Int, height: Int, in jpeg: [UInt8]) -> [UInt8] {
    var jpeg = jpeg
    let header = jpeg.indices.first { jpeg[$0] == 0xFF && (jpeg[$0 + 1] == 0xC0 || jpeg[$0 + 1] == 0xC2) }!
    for (offset, value) in [(5, height), (7, width)] {
      jpeg[header + offset] = UInt8(value >> 8)
      jpeg[header + offset + 1] = UInt8(value & 0xFF)
    }
    return jpeg
  }
}
