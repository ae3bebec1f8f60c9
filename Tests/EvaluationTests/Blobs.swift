import Evaluation
import Numerics

/// Rows around a center a class, drawn by a seed.
func blobs(
  classes: Int, each: Int, width: Int, deviation: Double, seed: UInt64 = 1
) -> (rows: FeatureRows, classes: [Int]) {
  var stream = RandomStream(RandomKey(seed: seed, purpose: .evaluation, view: 9))
  // Centers do not follow from the seed: two draws are of the same classes.
  var place = RandomStream(RandomKey(seed: 77, purpose: .evaluation, view: 9))
  let centers = (0..<classes).map { _ in (0..<width).map { _ in place.normal() } }
  let matrix = FloatBuffer(count: classes * each * width).matrix(rows: classes * each, columns: width)
  for row in 0..<classes * each {
    for column in 0..<width {
      matrix[row, column] = Float(centers[row % classes][column] + deviation * stream.normal())
    }
  }
  return (FeatureRows(matrix), (0..<classes * each).map { $0 % classes })
}
