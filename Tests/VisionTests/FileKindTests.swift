import Testing
import Vision

@Suite struct FileKindTests {
  private static let bitmap: [UInt8] = Array("BM".utf8) + [0x36, 0x30, 0, 0, 0, 0, 0, 0, 0x36, 0, 0, 0, 40, 0, 0, 0]

  static let beginnings: [(kind: String?, bytes: [UInt8])] = [
    ("a PNG file", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]),
    ("a GIF file", Array("GIF89a".utf8)),
    ("a GIF file", Array("GIF87a".utf8)),
    ("a WebP file", Array("RIFF".utf8) + [0x24, 0, 0, 0] + Array("WEBPVP8 ".utf8)),
    ("a BMP file", bitmap),
    ("a TIFF file", [0x49, 0x49, 0x2A, 0x00, 8, 0, 0, 0]),
    ("a TIFF file", [0x4D, 0x4D, 0x00, 0x2A, 0, 0, 0, 8]),
    ("a HEIC file", [0, 0, 0, 0x18] + Array("ftypheic".utf8)),
    ("an AVIF file", [0, 0, 0, 0x1C] + Array("ftypavif".utf8)),
    ("an MP4 or QuickTime file", [0, 0, 0, 0x14] + Array("ftypqt  ".utf8)),
    ("a JPEG 2000 file", [0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20, 0x0D, 0x0A, 0x87, 0x0A]),
    ("a JPEG XL file", [0xFF, 0x0A, 0x12]),
    ("a PDF file", Array("%PDF-1.4".utf8)),
    ("a ZIP file", [0x50, 0x4B, 3, 4, 20]),
    ("a gzip file", [0x1F, 0x8B, 8]),
    ("a Mac resource file (AppleDouble)", [0x00, 0x05, 0x16, 0x07, 0x00, 0x02]),
    (
      "a Git LFS pointer (fetch the files with git lfs pull)",
      Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\n".utf8)
    ),
    ("an HTML file", Array("\n <!DOCTYPE HTML><title>404</title>".utf8)),
    ("an HTML file", Array("<html>404</html>".utf8)),
    ("an SVG file", Array("<svg xmlns='http://www.w3.org/2000/svg'/>".utf8)),
    ("a text file", Array("{\"error\": \"not found\"}\r\n".utf8)),
    ("a file of zeros", [UInt8](repeating: 0, count: 4096)),
    // What only begins like one.
    (nil, []),
    (nil, [0]),
    (nil, [0x89, 0x50, 0x4E, 0x47]),
    (nil, Array("RIFF".utf8) + [0x24, 0, 0, 0] + Array("WAVEfmt ".utf8)),
    (nil, Array("BM".utf8) + [0xFF, 0xFE, 0xFD]),
    (nil, [0x0A, 0xFF, 0xD8, 0xFF, 0xE0]),
  ]

  @Test(arguments: beginnings) func firstBytesSayTheKind(kind: String?, bytes: [UInt8]) {
    #expect(FileKind(of: bytes)?.name == kind)
  }

  @Test func aPNGNamedAsAPictureIsNamedForWhatItIs() {
    #expect(throws: VisionError.undecodable(reason: "it is a PNG file")) {
      _ = try Picture(jpeg: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13])
    }
  }
}
