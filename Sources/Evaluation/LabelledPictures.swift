import Vision

/// Pictures of a data set with classes: all of them, or every n-th.
public struct LabelledPictures: Sendable {
  public let dataSet: DataSet
  /// Which pictures of the data set.
  public let indices: [Int]
  /// One a picture of `indices`, an index into `names`.
  public let classes: [Int]
  public let names: [String]

  /// - Throws: `VisionError`; `EvaluationError.noClasses`.
  public init(_ folder: String, every: Int = 1) throws {
    dataSet = try DataSet(root: folder)
    guard let labels = dataSet.labels else { throw EvaluationError.noClasses(folder: folder) }
    indices = Array(stride(from: 0, to: dataSet.count, by: every))
    classes = indices.map { labels.classes[$0] }
    names = labels.names
  }
}
