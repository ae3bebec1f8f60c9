import Networks
import Numerics
import Synchronization
import Vision

/// A row of features a picture, as the backbone gives them.
public struct FeatureRows: Sendable {
  package let buffer: FloatBuffer
  public let count: Int
  public let width: Int
  /// By place: the pictures that have no features. Their rows are 0.
  public package(set) var skipped: [Int: SkippedPicture] = [:]

  init(count: Int, width: Int) {
    buffer = FloatBuffer(count: count * width)
    self.count = count
    self.width = width
  }

  private init(_ buffer: FloatBuffer, count: Int, width: Int) {
    self.buffer = buffer
    self.count = count
    self.width = width
  }

  /// - Parameter rows: copied.
  public init(_ rows: Matrix) {
    self.init(count: rows.rows, width: rows.columns)
    copy(rows, into: matrix)
  }

  public var matrix: Matrix { buffer.matrix(rows: count, columns: width) }

  /// In the order of their places.
  public var skippedInOrder: [SkippedPicture] { skipped.keys.sorted().compactMap { skipped[$0] } }
}

// MARK: - Together

extension FeatureRows {
  /// These rows and others after them, copied; who is skipped stays so.
  public func appending(_ others: FeatureRows) -> FeatureRows {
    invariant(width == others.width)
    var all = FeatureRows(count: count + others.count, width: width)
    copy(matrix, into: all.matrix.rows(0..<count))
    copy(others.matrix, into: all.matrix.rows(count..<all.count))
    all.skipped = skipped
    for (place, picture) in others.skipped { all.skipped[count + place] = picture }
    return all
  }
}

// MARK: - In place

extension FeatureRows {
  /// Scales all rows to unit length, in their own memory, and lends them on. Rows of 0 stay so.
  public consuming func scaledToUnitLength() -> FeatureRows {
    normalizeRows(matrix, floor: shortestRow, into: matrix)
    return self
  }

  /// Moves the rows of pictures that were not skipped together, in their own memory.
  /// - Returns: those rows, and each one's place before.
  public consuming func withoutSkipped() -> (rows: FeatureRows, places: [Int]) {
    let places = (0..<count).filter { skipped[$0] == nil }
    for (row, place) in places.enumerated() where row != place {
      copy(matrix.row(at: place), into: matrix.row(at: row))
    }
    return (FeatureRows(buffer, count: places.count, width: width), places)
  }
}

/// Rows shorter than this stay short.
let shortestRow: Float = 1e-6

// MARK: - From pictures

extension FrozenNetwork {
  /// Pictures that pass the network together. Part of what a feature's bits follow from, so not the threads'.
  static let together = 32

  /// Frozen features of pictures: the backbone's output, before the head.
  /// - Parameters:
  ///   - parameters: laid out by `layout`: this network's, or those it had before its first step.
  ///   - done: told how many more pictures are through, by any thread.
  /// - Returns: in the order of the pictures, whatever the number of threads.
  /// - Throws: `EvaluationError.featuresNotFinite`; `VisionError` if the system, not a picture, is the reason.
  public func features(
    of pictures: PictureSelection, _ parameters: FloatBuffer, threads: Int, done: @Sendable (Int) -> Void = { _ in }
  ) throws -> FeatureRows {
    var features = FeatureRows(count: pictures.count, width: architecture.embedDim)
    let skipped = Mutex<[Int: SkippedPicture]>([:])
    let (rows, together, side) = (features, Self.together, architecture.imageSize)
    let weights = NetworkWeights(parameters, .fp32)
    let pieces = (pictures.count + together - 1) / together
    try SharedWork(pieces: pieces).run(threads: threads) { next in
      let backbone = Backbone(architecture)
      let workspace = try BackboneWorkspace(
        architecture, maximumImages: together, side: side, keepsActivations: false)
      let pixels = FloatBuffer(count: together * 3 * side * side).matrix(rows: together, columns: 3 * side * side)
      var resampler = Resampler()
      while let piece = next() {
        let range = piece * together..<min((piece + 1) * together, pictures.count)
        var isThere = [Bool](repeating: true, count: range.count)
        for place in range {
          let row = pixels.row(at: place - range.lowerBound)
          do {
            let square = Picture(
              width: side, height: side,
              pixels: try pictures.square(
                place, upright: configuration.exifOrientation, side: side, &resampler))
            normalization.write(square, into: row)
          } catch let picture as SkippedPicture {
            // Grey passes in its place: what passes beside a picture may decide its rounding.
            fill(row, with: 0)
            isThere[place - range.lowerBound] = false
            skipped.withLock { $0[place] = picture }
          }
        }
        let found = rows.matrix.rows(range)
        backbone.forward(pixels.rows(0..<range.count), weights: weights, workspace: workspace, into: found)
        for place in range {
          let row = rows.matrix.row(at: place)
          if !isThere[place - range.lowerBound] {
            fill(row, with: 0)
          } else if !isFinite(row) {
            throw EvaluationError.featuresNotFinite(picture: pictures.wholePath(place))
          }
        }
        done(range.count)
      }
    }
    features.skipped = skipped.withLock { $0 }
    return features
  }
}
