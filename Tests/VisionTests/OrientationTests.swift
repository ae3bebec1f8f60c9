import Testing
import Vision

/// EXIF's orientation: read from files of all kinds, and pixels put where they belong.
@Suite struct OrientationTests {
  /// Of a picture of 3 x 2 pixels, numbered row by row: its width and its pixels as Pillow's `exif_transpose` has them.
  static let turned: [(orientation: UInt8, width: Int, pixels: [UInt8])] = [
    (1, 3, [0, 1, 2, 3, 4, 5]), (2, 3, [2, 1, 0, 5, 4, 3]), (3, 3, [5, 4, 3, 2, 1, 0]), (4, 3, [3, 4, 5, 0, 1, 2]),
    (5, 2, [0, 3, 1, 4, 2, 5]), (6, 2, [3, 0, 4, 1, 5, 2]), (7, 2, [5, 2, 4, 1, 3, 0]), (8, 2, [2, 5, 1, 4, 0, 3]),
  ]

  private static func bigEndian(_ value: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
  }

  /// EXIF data with that one tag, and another before it.
  private static func exif(_ orientation: UInt8, littleEndian: Bool = false) -> [UInt8] {
    var bytes: [UInt8]
    if littleEndian {
      bytes = Array("II*\0".utf8) + [8, 0, 0, 0, 2, 0]
      bytes += [0x00, 0x01, 4, 0, 1, 0, 0, 0, 3, 0, 0, 0]
      bytes += [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]
    } else {
      bytes = Array("MM\0*".utf8) + [0, 0, 0, 8, 0, 2]
      bytes += [0x01, 0x00, 0, 4, 0, 0, 0, 1, 0, 0, 0, 3]
      bytes += [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]
    }
    return bytes + [0, 0, 0, 0]
  }

  /// A PNG file with a chunk `eXIf` after its header.
  private static func png(_ bytes: [UInt8], with exif: [UInt8]) -> [UInt8] {
    let header = 8 + 25
    var result = Array(bytes.prefix(header))
    result += bigEndian(exif.count)
    result += Array("eXIf".utf8)
    result += exif
    result += checksum("eXIf", exif)
    return result + bytes.dropFirst(header)
  }

  private static func checksum(_ kind: String, _ bytes: [UInt8]) -> [UInt8] {
    var rest = ~UInt32(0)
    for byte in Array(kind.utf8) + bytes {
      rest ^= UInt32(byte)
      for _ in 0..<8 { rest = rest & 1 == 1 ? rest >> 1 ^ 0xEDB8_8320 : rest >> 1 }
    }
    return bigEndian(Int(~rest))
  }

  private static func jpeg(_ bytes: [UInt8], with exif: [UInt8]) -> [UInt8] {
    let content = Array("Exif\0\0".utf8) + exif
    var result: [UInt8] = [0xFF, 0xD8, 0xFF, 0xE1]
    result += bigEndian(content.count + 2).suffix(2)
    result += content
    return result + bytes.dropFirst(2)
  }

  @Test(arguments: turned) func pixelsGoWhereTheyBelong(orientation: UInt8, width: Int, pixels: [UInt8]) throws {
    let stored = try PNGFile.bytes(0, width: 3, height: 2, [0, 1, 2, 3, 4, 5] as [UInt8])
    for littleEndian in [false, true] {
      let file = Self.png(stored, with: Self.exif(orientation, littleEndian: littleEndian))
      let picture = try Picture(file: file, upright: true)
      #expect(picture.width == width && picture.height == 6 / width)
      #expect(picture.pixels == pixels.flatMap { [$0, $0, $0] })
      // Whoever does not ask for it has them as they are stored.
      #expect(try Picture(file: file).pixels == [0, 1, 2, 3, 4, 5].flatMap { [$0, $0, $0] })
    }
  }

  /// Files that Pillow wrote, and what it makes of them.
  @Test(arguments: [("turned.jpg", "turned-jpeg"), ("turned.png", "turned"), ("turned.webp", "turned")])
  func filesOfEveryKindSayIt(file: String, pixels: String) throws {
    let bytes = try Fixture.bytes(file)
    #expect(PictureOrientation(ofFile: bytes) == .turnRight)
    let picture = try Picture(file: bytes, upright: true)
    #expect(picture.width == Fixture.height && picture.height == Fixture.width)
    #expect(picture.pixels == (try Fixture.pixels(pixels)))
    #expect(try Picture(file: bytes).width == Fixture.width)
  }

  @Test func whatSaysNothingOfUseStaysAsItIs() throws {
    let plain = try Fixture.jpeg("baseline")
    var files = [[], [0xFF, 0xD8], plain, try Fixture.bytes("lossy.webp")]
    for orientation in [0, 9, 255] as [UInt8] { files.append(Self.jpeg(plain, with: Self.exif(orientation))) }
    // No TIFF; a directory beyond the end; one that claims more entries than there are; a segment cut off.
    files.append(Self.jpeg(plain, with: Array("XX*\0".utf8) + [UInt8](repeating: 1, count: 40)))
    files.append(Self.jpeg(plain, with: Array("MM\0*".utf8) + [0xFF, 0xFF, 0xFF, 0xFF]))
    files.append(Self.jpeg(plain, with: Array("MM\0*".utf8) + [0, 0, 0, 8, 0xFF, 0xFF]))
    files.append(Array(Self.jpeg(plain, with: Self.exif(6)).prefix(30)))
    for (index, file) in files.enumerated() { #expect(PictureOrientation(ofFile: file) == .asStored, "\(index)") }
    #expect(PictureOrientation(ofFile: Self.jpeg(plain, with: Self.exif(6))) == .turnRight)
  }

  @Test func aDataSetsPicturesAreTurnedWhereAsked() throws {
    let bytes = try Fixture.bytes("turned.jpg")
    for upright in [false, true] {
      let source = PictureSource(count: 1, upright: upright) { _ in bytes }
      #expect(try source.picture(0).picture.width == (upright ? Fixture.height : Fixture.width))
    }
  }
}
