import Numerics

/// The KoLeo regularizer of one view of a slice: pushes each embedding away from its nearest neighbour.
///
/// For z_i the rows of a view and nn(i) the other row with the largest dot product, the value is
/// -log(d_i + 1e-8), d_i = |z_i - z_nn(i) + 1e-8|, averaged over rows and over the two global views. It is taken within
/// a slice; divided by the global batch, so slices simply add.
///
/// Source: Sablayrolles et al., Spreading vectors for similarity search (ICLR 2019), as in DINOv2.
public struct KoLeo {
  /// Images in the slice, at least 2: a row needs a neighbour.
  public let batch: Int
  public let globalBatch: Int
  /// `[batch, batch]`: dot products.
  private let dots: Matrix

  private static let epsilon = 1e-8

  public init(batch: Int, globalBatch: Int) {
    invariant(batch >= 2 && globalBatch >= batch, "\(batch) of \(globalBatch) images")
    self.batch = batch
    self.globalBatch = globalBatch
    dots = FloatBuffer(count: batch * batch).matrix(rows: batch, columns: batch)
  }

  /// Adds one global view's share to the gradient of its embeddings.
  ///
  /// - Parameters:
  ///   - embeddings: `[batch, width]`, rows of unit length.
  ///   - weight: of KoLeo in the loss; scales the gradient, not the value.
  ///   - gradient: `[batch, width]`, added to.
  /// - Returns: the view's share of KoLeo, without `weight`.
  /// - Complexity: 2 * batch^2 * width flops.
  public func add(embeddings z: Matrix, weight: Double, to gradient: Matrix) -> Double {
    invariant(z.rows == batch && gradient.rows == batch && z.columns == gradient.columns)
    let share = 1 / (2 * Double(globalBatch))
    multiply(z, .asIs, z, .transposed, into: dots)
    var value = 0.0
    for row in 0..<batch {
      let nearest = nearest(to: row)
      // 1. d = |z - nn + epsilon|.
      var squares = 0.0
      for column in 0..<z.columns {
        let difference = Double(z[row, column]) - Double(z[nearest, column]) + Self.epsilon
        squares += difference * difference
      }
      let distance = squares.squareRoot()
      value -= logarithm(distance + Self.epsilon)
      // 2. -log(d + epsilon) falls by (z - nn + epsilon) / (d (d + epsilon)); the neighbour moves the other way.
      let factor = weight * share / (distance * (distance + Self.epsilon))
      for column in 0..<z.columns {
        let difference = Double(z[row, column]) - Double(z[nearest, column]) + Self.epsilon
        let slope = Float(factor * difference)
        gradient[row, column] -= slope
        gradient[nearest, column] += slope
      }
    }
    return value * share
  }

  /// The other row with the largest dot product; the first of equals.
  private func nearest(to row: Int) -> Int {
    var best = row == 0 ? 1 : 0
    for other in 0..<batch where other != row && dots[row, other] > dots[row, best] { best = other }
    return best
  }
}
