/// What a file is that is no picture of a kind that is decoded, by its first bytes: so that people are told, whatever its
/// name says.
public struct FileKind: Equatable, Sendable {
  /// With its article: "a PNG file".
  public let name: String

  /// Nil if the bytes begin like nothing that is known here.
  /// - Complexity: looks at some hundred bytes.
  public init?(of bytes: [UInt8]) {
    guard let name = Self.name(of: bytes.prefix(Self.looksAt)) else { return nil }
    self.name = name
  }

  private static let looksAt = 512

  private static func name(of start: ArraySlice<UInt8>) -> String? {
    if let (name, _) = signatures.first(where: { start.starts(with: $1) }) { return name }
    // 1. Containers, whose kind stands behind a size.
    if Picture.isWebP(start) { return "a WebP file" }
    if start.dropFirst(4).starts(with: "ftyp".utf8) {
      return brands[String(decoding: start.dropFirst(8).prefix(4), as: UTF8.self)] ?? "an MP4 or QuickTime file"
    }
    // 2. Two letters are too few: the sizes of a bitmap's header are few too.
    if start.starts(with: "BM".utf8), start.count > 17, start[14...17].elementsEqual([start[14], 0, 0, 0]),
      [12, 40, 52, 56, 64, 108, 124].contains(start[14])
    {
      return "a BMP file"
    }
    // 3. Text, and what a download or a copy left.
    if start.count == looksAt, start.allSatisfy({ $0 == 0 }) { return "a file of zeros" }
    return textName(of: start)
  }

  private static func textName(of start: ArraySlice<UInt8>) -> String? {
    guard !start.isEmpty else { return nil }
    let text = start.drop { [9, 10, 13, 32].contains($0) }
    for (name, opening) in textOpenings
    where text.count >= opening.utf8.count && zip(text, opening.utf8).allSatisfy({ lowercased($0) == $1 }) {
      return name
    }
    let isText = start.allSatisfy { 32..<127 ~= $0 || [9, 10, 13].contains($0) }
    return isText ? "a text file" : nil
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 { 65...90 ~= byte ? byte | 0x20 : byte }

  private static let signatures: [(String, [UInt8])] = [
    ("a PNG file", Picture.pngSignature),
    ("a GIF file", Array("GIF87a".utf8)),
    ("a GIF file", Array("GIF89a".utf8)),
    ("a TIFF file", Array("II*\0".utf8)),
    ("a TIFF file", Array("MM\0*".utf8)),
    ("a TIFF file", Array("II+\0".utf8)),
    ("a TIFF file", Array("MM\0+".utf8)),
    ("a JPEG 2000 file", [0, 0, 0, 12] + "jP  \r\n".utf8 + [0x87, 0x0A]),
    ("a JPEG 2000 file", [0xFF, 0x4F, 0xFF, 0x51]),
    ("a JPEG XL file", [0, 0, 0, 12] + "JXL \r\n".utf8 + [0x87, 0x0A]),
    ("a JPEG XL file", [0xFF, 0x0A]),
    ("a Photoshop file", Array("8BPS".utf8)),
    ("an icon file", [0, 0, 1, 0]),
    ("a PDF file", Array("%PDF-".utf8)),
    ("a ZIP file", Array("PK\u{3}\u{4}".utf8)),
    ("a gzip file", [0x1F, 0x8B]),
    ("a Mac resource file (AppleDouble)", [0x00, 0x05, 0x16, 0x07]),
    ("a Git LFS pointer (fetch the files with git lfs pull)", Array("version https://git-lfs".utf8)),
  ]

  private static let brands = [
    "heic": "a HEIC file", "heix": "a HEIC file", "heim": "a HEIC file", "heis": "a HEIC file", "hevc": "a HEIC file",
    "mif1": "a HEIC file", "msf1": "a HEIC file", "avif": "an AVIF file", "avis": "an AVIF file",
  ]

  private static let textOpenings = [
    ("an HTML file", "<!doctype html"), ("an HTML file", "<html"), ("an SVG file", "<svg"), ("an XML file", "<?xml"),
  ]
}
