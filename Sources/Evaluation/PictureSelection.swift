import Numerics
import Vision

/// Pictures of a data set: all of them, or some, in an order.
public struct PictureSelection: Sendable {
  public let dataSet: DataSet
  /// Which pictures of the data set.
  public let indices: [Int]

  public init(_ dataSet: DataSet, indices: [Int]) {
    invariant(!indices.isEmpty && indices.allSatisfy { (0..<dataSet.count).contains($0) })
    self.dataSet = dataSet
    self.indices = indices
  }

  /// All pictures of a folder, or every n-th.
  /// - Throws: `VisionError`.
  public init(_ folder: String, every: Int = 1) throws {
    let dataSet = try DataSet(root: folder)
    self.init(dataSet, indices: Array(stride(from: 0, to: dataSet.count, by: every)))
  }

  public var count: Int { indices.count }

  /// Of each picture its place among others of the same data set, whatever path that was given by; nil of one that is not
  /// among them, and of all together where the data set is another.
  public func places(in others: PictureSelection) -> [Int?]? {
    guard dataSet.identity == others.dataSet.identity else { return nil }
    let places = Dictionary(others.indices.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    return indices.map { places[$0] }
  }

  /// Of a picture by its place in `indices`, relative to the folder.
  public func path(_ place: Int) -> String { dataSet.path(indices[place]) }

  /// Of a picture by its place in `indices`, for people: the folder's path included.
  public func wholePath(_ place: Int) -> String { dataSet.wholePath(indices[place]) }

  /// The skipped ones, in the order of their places.
  /// - Throws: `EvaluationError.nothingLeft` if they are all there are.
  func inOrder(_ skipped: [Int: SkippedPicture]) throws -> [SkippedPicture] {
    let inOrder = skipped.keys.sorted().compactMap { skipped[$0] }
    if inOrder.count == count, let first = inOrder.first {
      throw EvaluationError.nothingLeft(folder: dataSet.root, skipped: inOrder.count, first: first.description)
    }
    return inOrder
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

extension PictureSelection {
  /// The largest square in the middle of a picture, resized: red, green, blue, pixel by pixel.
  /// - Parameters:
  ///   - place: in `indices`.
  ///   - upright: turns the picture as its EXIF data say.
  /// - Throws: `SkippedPicture` if the picture cannot be read or does not decode.
  package func square(
    _ place: Int, upright: Bool = false, side: Int, _ resampler: inout Resampler
  ) throws -> [UInt8] {
    resampler.square(of: try picture(place, upright: upright), side: side).pixels
  }

  /// A picture of its own size.
  /// - Parameters:
  ///   - place: in `indices`.
  ///   - upright: turns it as its EXIF data say.
  /// - Throws: `SkippedPicture` if it cannot be read or does not decode.
  package func picture(_ place: Int, upright: Bool = false) throws -> Picture {
    do {
      return try Picture(file: dataSet.read(indices[place]), upright: upright)
    } catch VisionError.undecodable(let reason) {
      throw SkippedPicture(path: wholePath(place), reason: "it is no picture that decodes: \(reason)")
    } catch VisionError.unreadable(_, let reason) {
      throw SkippedPicture(path: wholePath(place), reason: reason)
    } catch VisionError.changed {
      throw SkippedPicture(path: wholePath(place), reason: "it has another size than when the folder was listed")
    }
  }
}
