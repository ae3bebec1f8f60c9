import Drawing
import Foundation
import Vision

/// Attention as a sheet: a row a picture, with the square that the network was shown, each head's heat, the heat of their
/// mean, and the patches that have most of that.
public struct AttentionSheet {
  /// Share of the attention that the patches of the last column have together.
  public let mass: Float
  /// Of a cell at least, and half of what it has at most, in pixels.
  private let cell: Int
  private var rows: [ContactSheet.Row] = []

  /// - Parameter mass: above 0, at most 1.
  public init(mass: Float, cell: Int = 144) {
    self.mass = mass
    self.cell = cell
  }

  public mutating func add(_ name: String, _ square: Picture, _ attention: Attention) {
    let shown = square.enlarged(toAtLeast: cell).shrunk(toAtMost: 2 * cell)
    let (mean, patches) = (attention.mean, attention.mean.mass(mass))
    let chosen = patches.values.count { $0 > 0 }
    let heads = attention.heads.enumerated().map { head, map in
      ContactSheet.Cell(map.overlaid(on: shown), "head \(head)", Self.most(map))
    }
    rows.append(
      ContactSheet.Row(
        title: name,
        [ContactSheet.Cell(shown, "picture")] + heads + [
          ContactSheet.Cell(mean.overlaid(on: shown), "mean of heads", Self.most(mean)),
          ContactSheet.Cell(
            patches.cutOut(of: shown), "\(Self.percent(mass)) in \(chosen) of \(patches.values.count)"),
        ]))
  }

  /// - Throws: `DrawingError.tooLarge`.
  public func drawn() throws(DrawingError) -> Picture { try ContactSheet(rows).drawn() }

  /// What the brightest patch has.
  private static func most(_ map: HeatMap) -> String { String(format: "most %.3f", map.values.max() ?? 0) }

  private static func percent(_ share: Float) -> String { String(format: "%g%%", Double(share * 1000).rounded() / 10) }
}
