import Numerics

/// The two directions in which features differ most, and where each picture lies along them.
///
/// Principal component analysis: the first eigenvectors of the features' covariance. The largest coordinate of a direction
/// is positive, so that no figure depends on chance.
public struct PrincipalComponents: Sendable {
  /// Of each row that was not skipped, in order: its place, and where it lies.
  public let points: [(place: Int, x: Double, y: Double)]
  /// Of the variance, along each direction; 0 where all features are the same.
  public let shares: (x: Double, y: Double)

  /// - Complexity: (count + 9 · width) · width² flops.
  public init(of features: FeatureRows) {
    let (moments, width) = (FeatureMoments(of: features), features.width)
    let found = moments.covariance.eigenvectors()
    let total = (found?.values ?? []).reduce(0, +)
    /// A direction and its share; no direction where there are fewer.
    func component(_ number: Int) -> (direction: [Double], share: Double) {
      guard let found, number < width, total > 0 else { return ([Double](repeating: 0, count: width), 0) }
      let direction = found.vectors[number]
      let largest = direction.max { abs($0) < abs($1) } ?? 1
      return (largest < 0 ? direction.map { -$0 } : direction, max(0, found.values[number] / total))
    }
    let (across, up) = (component(0), component(1))
    points = moments.places.map { place in
      let row = features.matrix.row(at: place)
      func along(_ direction: [Double]) -> Double {
        (0..<width).reduce(0.0) { $0 + (Double(row[$1]) - moments.mean[$1]) * direction[$1] }
      }
      return (place, along(across.direction), along(up.direction))
    }
    shares = (across.share, up.share)
  }
}
