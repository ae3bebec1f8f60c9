import Evaluation
import Foundation
import Telemetry

/// What `massl evaluate knn` found, a row a source.
struct NearestNeighborsTable {
  let counts: [Int]
  let step: Int?
  var rows: [NearestNeighborsJudge.Row] = []

  /// Writes a row at once, and before the first what the columns are.
  func show(_ row: NearestNeighborsJudge.Row) throws {
    if rows.isEmpty {
      let step = step.map { " at step \($0)" } ?? ""
      try StandardOutput.write("k-NN accuracy\(step): \(row.asked) pictures asked, \(row.voters) vote")
      try StandardOutput.write(columns("", counts.map { "k \($0)" }))
    }
    try StandardOutput.write(columns(row.source.rawValue, row.accuracies.map { String(format: "%.3f", $0) }))
  }

  /// One object.
  /// - Parameters:
  ///   - strays: pictures in the roots of train and test.
  ///   - strangers: pictures asked of classes that nobody who votes has.
  func json(strays: (train: Int, test: Int), strangers: Int) -> String {
    let results = counts.indices.map { index in
      let fields = rows.map { "\"\($0.source.rawValue)\": \($0.accuracies[index])" }
      return "{\"k\": \(counts[index]), \(fields.joined(separator: ", "))}"
    }
    let first = rows.first
    return "{\"step\": \(step.map(String.init) ?? "null"), \"bank\": \(first?.voters ?? 0), "
      + "\"queries\": \(first?.asked ?? 0), \"bank_skipped\": \(first?.skippedOfBank.count ?? 0), "
      + "\"queries_skipped\": \(first?.skippedOfQueries.count ?? 0), \"bank_in_no_class\": \(strays.train), "
      + "\"queries_in_no_class\": \(strays.test), \"queries_of_other_classes\": \(strangers), "
      + "\"knn\": [\(results.joined(separator: ", "))]}"
  }

  private func columns(_ name: String, _ values: [String]) -> String {
    "  " + name.padding(toLength: 10, withPad: " ", startingAt: 0)
      + values.map { String(repeating: " ", count: max(0, 8 - $0.count)) + $0 }.joined()
  }
}
