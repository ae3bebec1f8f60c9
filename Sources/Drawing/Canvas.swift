import Vision

/// A picture in the making. What lies beyond its edges is not drawn.
public struct Canvas {
  public let width: Int
  public let height: Int
  private var pixels: [UInt8]

  /// More pixels than this are refused before anything is allocated for them.
  public static let pixelLimit = Picture.defaultPixelLimit

  /// - Throws: `DrawingError.tooLarge`.
  public init(width: Int, height: Int, _ colour: Colour = .paper) throws(DrawingError) {
    precondition(width > 0 && height > 0, "\(width) x \(height) pixels")
    let (area, isPastCounting) = width.multipliedReportingOverflow(by: height)
    guard !isPastCounting, area <= Self.pixelLimit else {
      throw .tooLarge(width: width, height: height, limit: Self.pixelLimit)
    }
    self.width = width
    self.height = height
    pixels = [UInt8](unsafeUninitializedCapacity: 3 * area) { memory, count in
      for index in 0..<3 * area { memory[index] = colour.channels[index % 3] }
      count = 3 * area
    }
  }

  public init(_ picture: Picture) {
    (width, height, pixels) = (picture.width, picture.height, picture.pixels)
  }

  public var picture: Picture { Picture(width: width, height: height, pixels: pixels) }
}

// MARK: - Drawing

extension Canvas {
  public mutating func set(_ colour: Colour, x: Int, y: Int) {
    guard 0..<width ~= x, 0..<height ~= y else { return }
    let start = 3 * (y * width + x)
    for channel in 0..<3 { pixels[start + channel] = colour.channels[channel] }
  }

  public mutating func draw(_ picture: Picture, left: Int, top: Int) {
    let (firstColumn, endColumn) = (max(0, -left), min(picture.width, width - left))
    let (firstRow, endRow) = (max(0, -top), min(picture.height, height - top))
    guard firstColumn < endColumn, firstRow < endRow else { return }
    for y in firstRow..<endRow {
      let from = 3 * (y * picture.width)
      let to = 3 * ((top + y) * width + left)
      pixels.replaceSubrange(
        (to + 3 * firstColumn)..<(to + 3 * endColumn),
        with: picture.pixels[(from + 3 * firstColumn)..<(from + 3 * endColumn)])
    }
  }

  /// The edge of a region, inside of it.
  public mutating func frame(_ region: Region, _ colour: Colour, thickness: Int = 1) {
    for depth in 0..<min(thickness, (min(region.width, region.height) + 1) / 2) {
      let (left, right) = (region.left + depth, region.left + region.width - 1 - depth)
      let (top, bottom) = (region.top + depth, region.top + region.height - 1 - depth)
      for x in left...right {
        set(colour, x: x, y: top)
        set(colour, x: x, y: bottom)
      }
      for y in top...bottom {
        set(colour, x: left, y: y)
        set(colour, x: right, y: y)
      }
    }
  }

  /// One line of text, `Canvas.lineHeight` high. What is not of ASCII becomes a question mark.
  public mutating func write(_ text: String, _ colour: Colour = .ink, left: Int, top: Int) {
    for (place, scalar) in text.unicodeScalars.enumerated() {
      for (y, row) in LabelFont.rows(of: scalar).enumerated() where row != 0 {
        for x in 0..<LabelFont.width where row >> (LabelFont.width - 1 - x) & 1 == 1 {
          set(colour, x: left + place * LabelFont.width + x, y: top + y)
        }
      }
    }
  }

  /// In pixels.
  public static let lineHeight = LabelFont.height
  public static func width(of text: String) -> Int { text.unicodeScalars.count * LabelFont.width }

  /// A text that fits into so many pixels: of a longer one the end, for that tells paths apart.
  public static func fitting(_ text: String, width: Int) -> String {
    let (scalars, room) = (Array(text.unicodeScalars), max(0, width / LabelFont.width))
    guard scalars.count > room else { return text }
    guard room > 2 else { return String(String.UnicodeScalarView(scalars.prefix(room))) }
    return ".." + String(String.UnicodeScalarView(scalars.suffix(room - 2)))
  }
}
