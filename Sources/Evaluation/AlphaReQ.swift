import Foundation
import Numerics

/// alpha-ReQ: how fast the spectrum of features decays, without labels.
///
/// The exponent α of λ_j ∝ j^-α, where λ_1 ≥ λ_2 ≥ ... are the eigenvalues of the features' covariance. Near 1 is
/// where the source finds features to do best: far above 1 few directions hold all, and far below 1 noise fills many.
///
/// α is the slope of a line through (log j, log λ_j), each point with weight 1 / j, from the 11th component to the 50th;
/// where there are fewer than 22 components, through all of them. It does not change with the features' scale.
/// - Parameter features: `[n, width]`, as the network gives them.
/// - Returns: 0 where features have no variance; nil where one is not finite.
/// - Complexity: n · width² + 4/3 · width³ flops.
/// - Source: Agrawal, Mondal, Ghosh and Richards, "α-ReQ: Assessing Representation Quality in Self-Supervised Learning
///   by measuring eigenspectrum decay", NeurIPS 2022; the weighted fit is that of Stringer et al., Nature 571 (2019),
///   which it uses.
public func alphaReQ(_ features: Matrix) -> Double? {
  let moments = FeatureMoments(features, places: Array(0..<features.rows))
  let directions = min(features.rows - 1, features.columns)
  return moments.covariance.eigenvalues().map { decay(of: Array($0.prefix(directions))) }
}

/// - Parameter values: largest first.
private func decay(of values: [Double]) -> Double {
  guard let largest = values.first, largest > 0, values.count > 1 else { return 0 }
  let components = values.count < 22 ? 1...values.count : 11...min(50, values.count)
  // What is smaller is rounding.
  let points = components.map { (x: log(Double($0)), y: log(max(values[$0 - 1], 1e-12 * largest)), w: 1 / Double($0)) }
  let weight = points.reduce(0.0) { $0 + $1.w }
  let x = points.reduce(0.0) { $0 + $1.w * $1.x } / weight
  let y = points.reduce(0.0) { $0 + $1.w * $1.y } / weight
  let covariance = points.reduce(0.0) { $0 + $1.w * ($1.x - x) * ($1.y - y) }
  let variance = points.reduce(0.0) { $0 + $1.w * ($1.x - x) * ($1.x - x) }
  return -covariance / variance
}
