/// Where the stored pixels of a picture belong: EXIF's orientation.
///
/// A camera that is held upright stores the same rows as one that lies, and says in the file how it was held. Only that tag
/// is read here, of the EXIF data of a JPEG, PNG or WebP file; nothing of it can make a picture undecodable.
///
/// Source: EXIF 2.32 (CIPA DC-008), tag 0x0112; turned as Pillow's `ImageOps.exif_transpose` does.
public enum PictureOrientation: Int, CaseIterable, Sendable {
  case asStored = 1
  case leftBecomesRight
  case upsideDown
  case topBecomesBottom
  /// Rows become columns.
  case transposed
  /// The stored picture is to be turned by a quarter, clockwise.
  case turnRight
  /// Rows become columns, both from their ends.
  case transposedUpsideDown
  /// By a quarter, counterclockwise.
  case turnLeft

  /// What a file says; `asStored` if it says nothing, or nothing that can be read.
  /// - Complexity: passes over the heads of the file's parts, not over its pixels.
  public init(ofFile bytes: [UInt8]) {
    let file = ByteWindow(bytes, bytes.indices)
    let exif =
      if bytes.starts(with: Picture.pngSignature) {
        file.pngEXIF
      } else if Picture.isWebP(bytes) {
        file.webPEXIF
      } else {
        file.jpegEXIF
      }
    self = exif?.orientation.flatMap { PictureOrientation(rawValue: $0) } ?? .asStored
  }

  /// Whether rows become columns.
  var swapsSides: Bool { rawValue >= Self.transposed.rawValue }
}

extension Picture {
  /// The picture as it was seen: each pixel where the orientation says that it belongs.
  mutating func turn(_ orientation: PictureOrientation) {
    if orientation == .asStored { return }
    let (columns, rows) = (width, height)
    if orientation.swapsSides { (width, height) = (rows, columns) }
    let (width, height, stored) = (width, height, pixels)
    pixels = [UInt8](unsafeUninitializedCapacity: stored.count) { memory, count in
      for y in 0..<height {
        for x in 0..<width {
          let (column, row) =
            switch orientation {
            case .asStored: (x, y)
            case .leftBecomesRight: (columns - 1 - x, y)
            case .upsideDown: (columns - 1 - x, rows - 1 - y)
            case .topBecomesBottom: (x, rows - 1 - y)
            case .transposed: (y, x)
            case .turnRight: (y, rows - 1 - x)
            case .transposedUpsideDown: (columns - 1 - y, rows - 1 - x)
            case .turnLeft: (columns - 1 - y, x)
            }
          for channel in 0..<3 {
            memory[(y * width + x) * 3 + channel] = stored[(row * columns + column) * 3 + channel]
          }
        }
      }
      count = stored.count
    }
  }
}

// MARK: - Where a file has its EXIF data

/// Some of a file's bytes. Whatever a file claims, what lies outside is nil.
private struct ByteWindow {
  private let bytes: [UInt8]
  private let range: Range<Int>

  init(_ bytes: [UInt8], _ range: Range<Int>) { (self.bytes, self.range) = (bytes, range) }

  /// - Parameter count: nil: to the end.
  func part(from start: Int, count: Int? = nil) -> ByteWindow? {
    guard start >= 0, start <= range.count else { return nil }
    guard let count else { return ByteWindow(bytes, range.lowerBound + start..<range.upperBound) }
    guard count >= 0, count <= range.count - start else { return nil }
    return ByteWindow(bytes, range.lowerBound + start..<range.lowerBound + start + count)
  }

  /// A number of so many bytes, at most 4.
  func number(at place: Int, bytes count: Int, bigEndian: Bool) -> Int? {
    guard let part = part(from: place, count: count) else { return nil }
    let digits = bytes[part.range]
    return bigEndian
      ? digits.reduce(0) { $0 << 8 | Int($1) } : digits.reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  func starts(with text: String) -> Bool { bytes[range].starts(with: text.utf8) }

  /// What follows EXIF's name, if it begins with that.
  private var afterName: ByteWindow? { starts(with: "Exif\0\0") ? part(from: 6) : nil }

  /// In the first APP1 segment of that name, before the scans.
  var jpegEXIF: ByteWindow? {
    var place = 2
    while number(at: place, bytes: 1, bigEndian: true) == 0xFF,
      let marker = number(at: place + 1, bytes: 1, bigEndian: true)
    {
      switch marker {
      case 0xFF: place += 1  // padding
      case 0x01, 0xD0...0xD7: place += 2  // stands by itself
      case 0xD9, 0xDA: return nil
      default:
        guard let length = number(at: place + 2, bytes: 2, bigEndian: true), length >= 2,
          let content = part(from: place + 4, count: length - 2)
        else { return nil }
        if marker == 0xE1, let exif = content.afterName { return exif }
        place += 2 + length
      }
    }
    return nil
  }

  /// In the chunk `eXIf`.
  var pngEXIF: ByteWindow? {
    var place = 8
    while let length = number(at: place, bytes: 4, bigEndian: true), let kind = part(from: place + 4, count: 4) {
      if kind.starts(with: "eXIf") { return part(from: place + 8, count: length) }
      place += 12 + length
    }
    return nil
  }

  /// In the chunk `EXIF`, which some begin with EXIF's name though they should not.
  var webPEXIF: ByteWindow? {
    var place = 12
    while let kind = part(from: place, count: 4), let length = number(at: place + 4, bytes: 4, bigEndian: false) {
      if kind.starts(with: "EXIF") { return part(from: place + 8, count: length).map { $0.afterName ?? $0 } }
      place += 8 + length + length % 2
    }
    return nil
  }

  /// The tag, in the first directory of EXIF data, which is a TIFF file.
  var orientation: Int? {
    let bigEndian = starts(with: "MM\0*")
    guard bigEndian || starts(with: "II*\0"), let directory = number(at: 4, bytes: 4, bigEndian: bigEndian),
      let entries = number(at: directory, bytes: 2, bigEndian: bigEndian)
    else { return nil }
    for entry in 0..<entries {
      let place = directory + 2 + 12 * entry
      guard let tag = number(at: place, bytes: 2, bigEndian: bigEndian) else { return nil }
      if tag == 0x0112 { return number(at: place + 8, bytes: 2, bigEndian: bigEndian) }
    }
    return nil
  }
}
