import Networks
import Numerics
import Synchronization
import Vision

/// A row of features a picture, of unit length.
public struct FeatureRows: Sendable {
  package let buffer: FloatBuffer
  public let count: Int
  public let width: Int
  /// By place: the pictures that have no features.
  public package(set) var skipped: [Int: SkippedPicture] = [:]

  init(count: Int, width: Int) {
    buffer = FloatBuffer(count: count * width)
    self.count = count
    self.width = width
  }

  /// - Parameter rows: of any length above 0; copied at unit length.
  public init(_ rows: Matrix) {
    self.init(count: rows.rows, width: rows.columns)
    normalizeRows(rows, floor: shortestRow, into: matrix)
  }

  var matrix: Matrix { buffer.matrix(rows: count, columns: width) }
}

/// Rows shorter than this stay short.
let shortestRow: Float = 1e-6

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
    of pictures: LabelledPictures, _ parameters: FloatBuffer, threads: Int, done: @Sendable (Int) -> Void = { _ in }
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
              width: side, height: side, pixels: try pictures.square(place, side: side, &resampler))
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
        for place in range where isThere[place - range.lowerBound] {
          guard isFinite(rows.matrix.row(at: place)) else {
            throw EvaluationError.featuresNotFinite(picture: pictures.wholePath(place))
          }
        }
        normalizeRows(found, floor: shortestRow, into: found)
        done(range.count)
      }
    }
    features.skipped = skipped.withLock { $0 }
    return features
  }
}
