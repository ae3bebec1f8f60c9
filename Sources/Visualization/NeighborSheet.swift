import Drawing
import Foundation
import Vision

/// Pictures and what they resemble: a row a picture, the picture first and then its neighbours, the nearest first.
public struct NeighborSheet {
  private let cell: Int
  private var rows: [ContactSheet.Row] = []

  /// - Parameter cell: side of each picture, in pixels.
  public init(cell: Int = 112) { self.cell = cell }

  /// - Parameters:
  ///   - picture: and those of the neighbours: as `thumbnail` makes them; nil for one that cannot be shown.
  public mutating func add(
    _ name: String, _ picture: Picture, neighbors: [(picture: Picture?, cosine: Float, caption: String)]
  ) {
    var cells = [ContactSheet.Cell(picture, "picture")]
    for neighbor in neighbors {
      cells.append(
        ContactSheet.Cell(
          neighbor.picture ?? Self.missing(side: cell), Self.text(neighbor.cosine),
          neighbor.caption))
    }
    rows.append(ContactSheet.Row(title: name, cells))
  }

  /// - Throws: `DrawingError.tooLarge`.
  public func drawn() throws(DrawingError) -> Picture { try ContactSheet(rows).drawn() }

  private static func text(_ cosine: Float) -> String { String(format: "cosine %.3f", cosine) }

  /// The middle of a picture, as it is shown. Small ones keep their pixels.
  public func thumbnail(_ picture: Picture) -> Picture {
    var resampler = Resampler()
    let side = min(picture.width, picture.height)
    guard side < cell else { return resampler.square(of: picture, side: cell) }
    return resampler.square(of: resampler.square(of: picture, side: side).enlarged(toAtLeast: cell), side: cell)
  }

  /// Crossed out.
  private static func missing(side: Int) -> Picture {
    var pixels = [UInt8](repeating: 225, count: 3 * side * side)
    for place in 0..<side {
      for x in [place, side - 1 - place] {
        for channel in 0..<3 { pixels[3 * (place * side + x) + channel] = 160 }
      }
    }
    return Picture(width: side, height: side, pixels: pixels)
  }
}
