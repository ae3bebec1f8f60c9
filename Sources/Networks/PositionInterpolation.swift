/// Position embeddings for pictures of another size than the trained one.
import Numerics

/// The matrix that turns the trained patches' position embeddings into those of a picture of another size.
///
/// Bicubic with a = -0.75, borders repeated, corners not aligned. The scale factor is (side + 0.1) / trained side, as
/// in the reference: its 0.1 was meant against rounding, and it moves the points where the embeddings are sampled.
/// - Returns: `[side * side, trainedSide * trainedSide]`; nil for the trained size itself, which is used as it is.
/// - Complexity: side² · trainedSide² floats.
func positionInterpolation(side: Int, trainedSide: Int) -> Matrix? {
  if side == trainedSide { return nil }
  let matrix = FloatBuffer(count: side * side * trainedSide * trainedSide)
    .matrix(rows: side * side, columns: trainedSide * trainedSide)
  let taps = (0..<side).map { cubicTaps(at: $0, side: side, trainedSide: trainedSide) }
  for y in 0..<side {
    for x in 0..<side {
      for vertical in taps[y] {
        for horizontal in taps[x] {
          matrix[y * side + x, vertical.source * trainedSide + horizontal.source] += Float(
            vertical.weight * horizontal.weight)
        }
      }
    }
  }
  return matrix
}

/// The four samples, and their weights, that make sample `index` of a row of `side`.
private func cubicTaps(at index: Int, side: Int, trainedSide: Int) -> [(source: Int, weight: Double)] {
  let factor = (Double(side) + 0.1) / Double(trainedSide)
  let position = (Double(index) + 0.5) / factor - 0.5
  let first = position.rounded(.down)
  let t = position - first
  let a = -0.75
  func near(_ x: Double) -> Double { ((a + 2) * x - (a + 3)) * x * x + 1 }
  func far(_ x: Double) -> Double { ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
  let weights = [far(t + 1), near(t), near(1 - t), far(2 - t)]
  return weights.enumerated().map { tap, weight in
    (min(max(Int(first) - 1 + tap, 0), trainedSide - 1), weight)
  }
}

/// A network's position embeddings for pictures of another size than it was trained on, as it computes them itself for
/// views of that size.
/// - Parameters:
///   - patches: `[trainedSide * trainedSide, width]`, without the class token's.
///   - side: patches along a side of the new pictures.
/// - Returns: `[side * side, width]`; `patches` themselves for the trained size.
public func positionEmbeddings(of patches: [Float], trainedSide: Int, side: Int, width: Int) -> [Float] {
  guard let weights = positionInterpolation(side: side, trainedSide: trainedSide) else { return patches }
  var interpolated = [Float](repeating: 0, count: side * side * width)
  for row in 0..<side * side {
    for source in 0..<trainedSide * trainedSide where weights[row, source] != 0 {
      for column in 0..<width {
        interpolated[row * width + column] += weights[row, source] * patches[source * width + column]
      }
    }
  }
  return interpolated
}
