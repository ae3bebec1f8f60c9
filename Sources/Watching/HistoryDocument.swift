import Foundation

/// Histories as JSON: one object, a list a figure, so that names are said once.
enum HistoryDocument {
  /// - Parameters:
  ///   - since: buckets that end before this step are left out.
  ///   - key: changes with whatever makes what a reader already has of no use; with `since` it may go on.
  static func json(
    _ history: History, since: Int, key: String, unreadableLines: Int, shareRead: Double
  ) -> String {
    let buckets = history.buckets.filter { $0.lastStep >= since }
    var fields = [
      "\"key\":\"\(key)\"", "\"span\":\(history.span)", "\"unreadable_lines\":\(unreadableLines)",
      "\"share_read\":\(shareRead)",
      "\"first_step\":[\(buckets.map { "\($0.firstStep)" }.joined(separator: ","))]",
      "\"last_step\":[\(buckets.map { "\($0.lastStep)" }.joined(separator: ","))]",
    ]
    // Where each bucket is a step, all three are one number.
    let parts: [(String, (History.Summary) -> Double?)] =
      [("mean", { $0.mean })]
      + (history.span == 1
        ? [] : [("least", { $0.count > 0 ? $0.least : nil }), ("largest", { $0.count > 0 ? $0.largest : nil })])
    for (name, value) in parts {
      let lists = Metric.allCases.compactMap { metric -> String? in
        let values = buckets.map { value($0[metric]) }
        guard values.contains(where: { $0 != nil }) else { return nil }
        let isExact = history.span == 1 || metric == .unixSeconds
        return "\"\(metric.rawValue)\":[\(values.map { text($0, isExact: isExact) }.joined(separator: ","))]"
      }
      fields.append("\"\(name)\":{\(lists.joined(separator: ","))}")
    }
    return "{\(fields.joined(separator: ","))}"
  }

  /// A step's figures to the last digit; those of many steps as precisely as anybody sees.
  private static func text(_ value: Double?, isExact: Bool) -> String {
    guard let value, value.isFinite else { return "null" }
    if isExact { return "\(value)" }
    let short = Float(value)
    return short.isFinite ? "\(short)" : "\(value)"
  }
}
