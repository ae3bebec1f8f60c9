import Drawing
import Foundation
import Vision

/// What the augmentation makes of pictures: a row a picture, with the picture and where its views are cut from, then the
/// views.
public struct ViewSheet {
  private var sampler: ViewSampler
  private var rows: [ContactSheet.Row] = []
  /// Of a cell at least, in pixels.
  private let cell: Int

  public init(_ settings: ViewSettings, seed: UInt64, cell: Int = 96) {
    sampler = ViewSampler(settings: settings, seed: seed)
    self.cell = cell
  }

  /// - Parameters:
  ///   - image: the picture's number in the data set, and the epoch: what chance decides follows from both.
  /// - Returns: what chance decided, a view each: the two global ones, then the local ones.
  @discardableResult
  public mutating func add(_ name: String, _ picture: Picture, image: Int, epoch: Int) -> [ViewParameters] {
    let views = 0..<ViewSettings.globalViews + sampler.settings.localViews
    let drawn = views.map { sampler.parameters(ofView: $0, of: picture, image: image, epoch: epoch) }
    // All as large as whole pixels make the smallest view large enough, and the picture as large as a global view.
    let factor = max(1, (cell + sampler.settings.localSize - 1) / sampler.settings.localSize)
    var cells = [
      ContactSheet.Cell(regions(of: drawn, on: picture, side: factor * sampler.settings.globalSize), "picture")
    ]
    for (view, parameters) in zip(views, drawn) {
      let shown = sampler.picture(ofView: view, of: picture, image: image, epoch: epoch).enlarged(by: factor)
      let name = view < ViewSettings.globalViews ? "global \(view)" : "local \(view - ViewSettings.globalViews)"
      var cell = ContactSheet.Cell(shown, name)
      cell.caption += Self.words(parameters.operations)
      cells.append(cell)
    }
    rows.append(ContactSheet.Row(title: name, cells))
    return drawn
  }

  /// - Throws: `DrawingError.tooLarge`.
  public func drawn() throws(DrawingError) -> Picture { try ContactSheet(rows).drawn() }

  /// A line for what was done to a view's colours, and one for the rest.
  private static func words(_ operations: [PictureOperation]) -> [String] {
    var (jitters, others) = (false, [String]())
    for operation in operations {
      switch operation {
      case .flip: others.append("flip")
      case .brightness, .contrast, .saturation, .hue: jitters = true
      case .grayscale: others.append("grey")
      case .solarize: others.append("solarize")
      case .blur(let sigma): others.append(String(format: "blur %.1f", sigma))
      }
    }
    return [jitters ? "jitter" : "", others.joined(separator: " ")].filter { !$0.isEmpty }
  }

  /// The picture with a frame for each view: global ones thick, local ones thin.
  private func regions(of views: [ViewParameters], on picture: Picture, side: Int) -> Picture {
    // By whole pixels, so that small pictures stay as they are; large ones by as much as it takes.
    let longest = max(picture.width, picture.height)
    let whole = longest >= side ? picture.shrunk(toAtMost: side) : picture.enlarged(by: max(1, side / longest))
    let scale = Double(whole.width) / Double(picture.width)
    var canvas = Canvas(whole)
    for (view, parameters) in views.enumerated().reversed() {
      let region = parameters.region
      let left = Int(Double(region.left) * scale), top = Int(Double(region.top) * scale)
      let right = Int((Double(region.left + region.width) * scale).rounded())
      let bottom = Int((Double(region.top + region.height) * scale).rounded())
      canvas.frame(
        Region(
          top: top, left: left, height: max(1, min(whole.height, bottom) - top),
          width: max(1, min(whole.width, right) - left)),
        Colour.distinct(view < ViewSettings.globalViews ? view : 2), thickness: view < ViewSettings.globalViews ? 3 : 1)
    }
    return canvas.picture
  }
}
