import Evaluation
import Foundation
import Telemetry

extension StandardOutput {
  /// Writes a report as one JSON object: keys in snake_case, in their alphabetical order.
  static func write(report: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try write(json: String(decoding: encoder.encode(report), as: UTF8.self))
  }
}

/// A figure for people: "0.873".
func threeDigits(_ figure: Double) -> String { String(format: "%.3f", figure) }

/// What every report says of what it is about.
struct JudgedFolder: Encodable {
  let folder: String
  /// Those that were used.
  let pictures: Int
  let skipped: Int
  /// In the folder itself, in no class's folder; nil where classes do not matter.
  var inNoClass: Int?
}

extension JudgedFolder {
  init<Label>(_ pictures: LabelledPictures, _ features: LabelledFeatures<Label>) {
    self.init(
      folder: pictures.root, pictures: features.rows.count, skipped: features.skipped.count,
      inNoClass: pictures.strays)
  }

  init(_ pictures: PictureSelection, _ rows: FeatureRows) {
    self.init(
      folder: pictures.dataSet.root, pictures: rows.count - rows.skipped.count, skipped: rows.skipped.count)
  }
}
