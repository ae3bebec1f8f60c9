import Foundation

/// How many directions values are spread over: exp of the entropy of the values' shares.
///
/// n equal values give n, one value among zeros gives 1, and values that are all zero 0.
/// - Parameter values: at least 0; smaller ones, which are rounding, count as 0.
/// - Returns: exp(-Σ p log p) with p = value / Σ values + 1e-7, as RankMe and LiDAR have it.
func smoothRank(of values: [Double]) -> Double {
  let values = values.map { max($0, 0) }
  let sum = values.reduce(0, +)
  guard sum > 0 else { return 0 }
  let entropy = values.reduce(0.0) { entropy, value in
    let share = value / sum + 1e-7
    return entropy - share * log(share)
  }
  return exp(entropy)
}
