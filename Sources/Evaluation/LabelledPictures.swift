import Vision

/// Pictures of a data set with classes: all of them, or every n-th.
///
/// A picture's class is the folder of the root that it is in, at any depth, or what its tar says. Pictures in the root
/// itself, or of which their tar says nothing, have none and are left out.
public struct LabelledPictures: Sendable {
  public let selection: PictureSelection
  /// One a picture of `selection`, an index into `names`.
  public let classes: [Int]
  public let names: [String]
  /// Pictures in the root itself, or without a class in their tar.
  public let strays: Int
  /// Pictures deeper than in a folder of the root.
  public let nested: Int

  /// - Throws: `VisionError`; `EvaluationError.noClasses`.
  public init(_ folder: String, every: Int = 1) throws {
    let dataSet = try DataSet(root: folder)
    // A tar may say classes, and none of a picture of its own.
    guard let labels = dataSet.labels, labels.classes.contains(where: { $0 != nil }) else {
      throw EvaluationError.noClasses(folder: folder)
    }
    let labelled = labels.classes.indices.filter { labels.classes[$0] != nil }
    let indices = stride(from: 0, to: labelled.count, by: every).map { labelled[$0] }
    selection = PictureSelection(dataSet, indices: indices)
    classes = indices.compactMap { labels.classes[$0] }
    names = labels.names
    strays = labels.classes.count - labelled.count
    nested = labels.nested
  }

  public var root: String { selection.dataSet.root }
  public var count: Int { selection.count }

  /// The class of each picture by its index in the names of another folder; nil for one that is not among them.
  public func classes(among others: [String]) -> [Int?] {
    let places = Dictionary(others.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let known = names.map { places[$0] }
    return classes.map { known[$0] }
  }
}
