import Numerics

/// LiDAR: in how many directions pictures differ more than views of one picture do, without labels.
///
/// Each picture is a class of its own, and its augmented views are the class's samples. With Σb the covariance of the
/// classes' means and Σw the mean covariance within a class plus 1e-4 on the diagonal, it is the smooth rank of
/// Σw^(-1/2) Σb Σw^(-1/2): exp(-Σ p log p), p = λ / ‖λ‖₁ + 1e-7. Directions of noise, which make RankMe large, do not
/// count here.
/// - Parameters:
///   - features: `[pictures · views, width]`, picture by picture, as the network gives them.
///   - views: of each picture, at least 2.
/// - Returns: 0 to min(pictures - 1, width); nil where a feature is not finite.
/// - Complexity: pictures · (views + 1) · width² + 3 · width³ flops.
/// - Source: Thilak et al., "LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL Architectures", ICLR 2024,
///   with its 1e-4 and 1e-7. It takes 1,000 pictures of 50 views, or 10,000 of 10.
public func lidar(_ features: Matrix, views: Int) -> Double? {
  let (width, pictures) = (features.columns, features.rows / views)
  invariant(views >= 2 && features.rows == pictures * views, "\(features.rows) features of \(views) views a picture")
  // 1. Within pictures: each view less its picture's mean.
  var within = SymmetricMatrix(size: width)
  var means: [Double] = []
  means.reserveCapacity(pictures * width)
  for picture in 0..<pictures {
    var apart = features.rows(picture * views..<(picture + 1) * views).doubles
    means += centre(&apart, width: width)
    within.addProducts(ofRows: apart, scale: 1 / Double(features.rows))
  }
  within.addToDiagonal(1e-4)

  // 2. Between pictures: their means less the mean of all.
  _ = centre(&means, width: width)
  var between = SymmetricMatrix(size: width)
  between.addProducts(ofRows: means, scale: 1 / Double(pictures))
  return between.eigenvalues(relativeTo: within).map { smoothRank(of: $0) }
}

/// Takes the rows' mean from each of them.
/// - Returns: the mean.
func centre(_ rows: inout [Double], width: Int) -> [Double] {
  let count = rows.count / width
  var mean = [Double](repeating: 0, count: width)
  for row in 0..<count {
    for column in 0..<width { mean[column] += rows[row * width + column] }
  }
  for column in 0..<width { mean[column] /= Double(count) }
  for row in 0..<count {
    for column in 0..<width { rows[row * width + column] -= mean[column] }
  }
  return mean
}
