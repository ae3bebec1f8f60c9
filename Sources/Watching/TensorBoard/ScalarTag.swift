/// What TensorBoard calls the figures of `metrics.jsonl` and `evaluations.jsonl`: a group, and the key.
enum ScalarTag {
  /// Nil for what is no figure of a step: its number, and when it was done.
  static func of(_ key: String) -> String? {
    switch key {
    case "step", "unix_seconds", "time": nil
    case "loss", "consistency", "koleo": "loss/\(key)"
    case "target_entropy", "embedding_spread", "chosen_share": "collapse/\(key)"
    case "rank_me", "lidar", "alpha_req", "knn": "features/\(key)"
    case "lr", "weight_decay", "momentum_teacher", "teacher_temp": "schedule/\(key)"
    case "gradient_norm": "gradient/\(key)"
    case _ where key.hasPrefix("gradient_norm/"): "gradient/\(key.dropFirst("gradient_norm/".count))"
    case _ where key.hasSuffix("_seconds"): "seconds/\(key)"
    default: "run/\(key)"
    }
  }
}
