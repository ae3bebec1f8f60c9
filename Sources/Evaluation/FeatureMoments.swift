import Numerics

/// Mean and covariance of features, in doubles.
struct FeatureMoments {
  /// The rows that count.
  let places: [Int]
  let mean: [Double]
  let covariance: SymmetricMatrix

  /// Rows of one product.
  private static let together = 1024

  /// - Complexity: count · width² flops; allocates width² doubles.
  init(_ matrix: Matrix, places: [Int]) {
    let width = matrix.columns
    var sums = [Double](repeating: 0, count: width)
    for place in places {
      let row = matrix.row(at: place)
      for column in 0..<width { sums[column] += Double(row[column]) }
    }
    let mean = sums.map { $0 / Double(max(1, places.count)) }
    var covariance = SymmetricMatrix(size: width)
    for start in stride(from: 0, to: places.count, by: Self.together) {
      var centered: [Double] = []
      for place in places[start..<min(start + Self.together, places.count)] {
        let row = matrix.row(at: place)
        for column in 0..<width { centered.append(Double(row[column]) - mean[column]) }
      }
      covariance.addProducts(ofRows: centered, scale: 1 / Double(places.count))
    }
    (self.places, self.mean, self.covariance) = (places, mean, covariance)
  }

  /// Of the rows that were not skipped.
  init(of rows: FeatureRows) {
    self.init(rows.matrix, places: (0..<rows.count).filter { rows.skipped[$0] == nil })
  }
}
