import Vision

/// Pictures of a data set with classes: all of them, or every n-th.
///
/// A picture's class is the folder of the root that it is in, at any depth. Pictures in the root itself have none, and
/// are left out.
public struct LabelledPictures: Sendable {
  public let dataSet: DataSet
  /// Which pictures of the data set.
  public let indices: [Int]
  /// One a picture of `indices`, an index into `names`.
  public let classes: [Int]
  public let names: [String]
  /// Pictures in the root itself.
  public let strays: Int
  /// Pictures deeper than in a folder of the root.
  public let nested: Int

  /// - Throws: `VisionError`; `EvaluationError.noClasses`.
  public init(_ folder: String, every: Int = 1) throws {
    dataSet = try DataSet(root: folder)
    guard let labels = dataSet.labels else { throw EvaluationError.noClasses(folder: folder) }
    let labelled = labels.classes.indices.filter { labels.classes[$0] != nil }
    indices = stride(from: 0, to: labelled.count, by: every).map { labelled[$0] }
    classes = indices.compactMap { labels.classes[$0] }
    names = labels.names
    strays = labels.classes.count - labelled.count
    nested = labels.nested
  }

  public var count: Int { indices.count }

  /// Of a picture by its place in `indices`, for people: the folder's path included.
  public func wholePath(_ place: Int) -> String { "\(dataSet.root)/\(dataSet.path(indices[place]))" }

  /// The class of each picture by its index in the names of another folder; nil for one that is not among them.
  public func classes(among others: [String]) -> [Int?] {
    let places = Dictionary(others.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    let known = names.map { places[$0] }
    return classes.map { known[$0] }
  }
}

/// A picture that is left out, for it cannot be read or does not decode.
public struct SkippedPicture: Error, Equatable, Sendable, CustomStringConvertible {
  /// The folder's path included.
  public let path: String
  public let reason: String

  package init(path: String, reason: String) {
    self.path = path
    self.reason = reason
  }

  public var description: String { "\(path): \(reason)" }
}

// MARK: - Reading

extension LabelledPictures {
  /// The largest square in the middle of a picture, resized: red, green, blue, pixel by pixel.
  /// - Parameter place: in `indices`.
  /// - Throws: `SkippedPicture` if the picture cannot be read or does not decode.
  package func square(_ place: Int, side: Int, _ resampler: inout Resampler) throws -> [UInt8] {
    let picture: Picture
    do {
      picture = try Picture(jpeg: dataSet.read(indices[place]))
    } catch VisionError.undecodable(let reason) {
      throw SkippedPicture(path: wholePath(place), reason: "it is no JPEG picture that decodes: \(reason)")
    } catch VisionError.unreadable(_, let reason) {
      throw SkippedPicture(path: wholePath(place), reason: reason)
    } catch VisionError.changed {
      throw SkippedPicture(path: wholePath(place), reason: "it has another size than when the folder was listed")
    }
    let square = min(picture.width, picture.height)
    let region = Region(
      top: (picture.height - square) / 2, left: (picture.width - square) / 2, height: square, width: square)
    return resampler.resize(region, of: picture, to: side).pixels
  }
}
