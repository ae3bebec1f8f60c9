/// A figure of a step whose history is kept: its name is its key in `metrics.jsonl`, or in `evaluations.jsonl`.
public enum Metric: String, CaseIterable, Sendable {
  case loss
  case consistency
  case koleo
  case lr
  case imagesPerSecond = "images_per_second"
  case targetEntropy = "target_entropy"
  case embeddingSpread = "embedding_spread"
  case chosenShare = "chosen_share"
  case gradientNorm = "gradient_norm"
  case rowWaitSeconds = "row_wait_seconds"
  case weightsSeconds = "weights_seconds"
  case reduceSeconds = "reduce_seconds"
  case updateSeconds = "update_seconds"
  case workers
  case rankMe = "rank_me"
  case lidar
  case alphaReQ = "alpha_req"
  case knn
  case unixSeconds = "unix_seconds"

  static let count = allCases.count

  /// Its place among all.
  var index: Int { Self.places[self]! }

  private static let places = Dictionary(uniqueKeysWithValues: zip(allCases, allCases.indices))
}
