import Numerics

/// PCA whitening: features less their mean, turned to their principal components, each divided by its deviation.
///
/// Learned on pictures that are no part of the evaluation. Components with less than 1e-5 of the largest variance are
/// divided by that much, as DINO's evaluation of copy detection does.
public struct Whitening: Sendable {
  private let mean: FloatBuffer
  /// `[width, width]`: a component a row, largest variance first.
  private let components: FloatBuffer
  public let width: Int

  /// Of the largest variance.
  static let leastVariance = 1e-5
  /// Rows of one product.
  private static let together = 1024

  /// - Parameter rows: skipped ones do not count.
  /// - Throws: `EvaluationError.noWhitening` if they are fewer than two, or all alike.
  public init(_ rows: FeatureRows) throws {
    let moments = FeatureMoments(of: rows)
    width = rows.width
    guard moments.places.count > 1, let (values, vectors) = moments.covariance.eigenvectors(),
      let largest = values.first, largest > 0
    else { throw EvaluationError.noWhitening(pictures: moments.places.count) }
    mean = FloatBuffer(moments.mean.map(Float.init))
    components = FloatBuffer(count: width * width)
    for (row, value) in values.enumerated() {
      let deviation = max(value, largest * Self.leastVariance).squareRoot()
      for column in 0..<width { components[row * width + column] = Float(vectors[row][column] / deviation) }
    }
  }

  /// Whitens rows in their own memory. Those of skipped pictures stay 0.
  public func callAsFunction(_ rows: consuming FeatureRows) -> FeatureRows {
    invariant(rows.width == width)
    let memory = FloatBuffer(count: Self.together * width)
    for start in stride(from: 0, to: rows.count, by: Self.together) {
      let part = rows.matrix.rows(start..<min(start + Self.together, rows.count))
      for row in 0..<part.rows { addScaled(mean.vector, by: -1, to: part.row(at: row)) }
      let whitened = memory.matrix(rows: part.rows, columns: width)
      multiply(part, .asIs, components.matrix(rows: width, columns: width), .transposed, into: whitened)
      copy(whitened, into: part)
    }
    for place in rows.skipped.keys { fill(rows.matrix.row(at: place), with: 0) }
    return rows
  }
}

// MARK: - Memory

extension EvaluationMemory.Work {
  /// Covariance, what LAPACK works in, and vectors.
  public static func whitening(width: Int) -> Self { Self(shared: 8 * 6 * width * width, eachThread: 0) }
}
