import Numerics

/// Features with a label each, without those of pictures that were skipped.
///
/// Labels are classes: `Int` where all are known, `Int?` where some may be classes that nobody learned.
public struct LabelledFeatures<Label: Sendable>: Sendable {
  public let rows: FeatureRows
  /// One a row.
  public let labels: [Label]
  /// Of each row: its picture's place in the selection.
  public let places: [Int]
  /// In the order of the pictures.
  public let skipped: [SkippedPicture]

  /// - Parameters:
  ///   - rows: of all pictures; moved together in their own memory.
  ///   - labels: one a picture, skipped ones included.
  /// - Throws: `EvaluationError.nothingLeft` if all were skipped.
  public init(_ rows: consuming FeatureRows, _ labels: [Label], of pictures: PictureSelection) throws {
    invariant(rows.count == labels.count && rows.count == pictures.count)
    skipped = try pictures.inOrder(rows.skipped)
    let (kept, places) = rows.withoutSkipped()
    self.rows = kept
    self.labels = places.map { labels[$0] }
    self.places = places
  }

  /// Every row in its place, those of skipped pictures too, which are nobody's to choose.
  /// - Parameter labels: one a row.
  public init(_ rows: FeatureRows, _ labels: [Label]) {
    invariant(rows.count == labels.count)
    self.rows = rows
    self.labels = labels
    places = Array(labels.indices)
    skipped = rows.skippedInOrder
  }

  /// Some of them, copied.
  public func subset(_ places: [Int]) -> LabelledFeatures {
    let chosen = FeatureRows(count: places.count, width: rows.width)
    gatherRows(from: rows.matrix, places, into: chosen.matrix)
    return LabelledFeatures(chosen, places.map { labels[$0] })
  }
}
