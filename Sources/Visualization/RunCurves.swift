import Drawing
import Foundation
import Watching

/// A run's metrics as charts.
public struct RunCurves {
  /// Of its steps, and of the evaluations of some.
  private let history, evaluations: History
  private let run: String

  /// Of a line: two pixels each, for the eye to follow.
  private static let pointsAtMost = 200

  /// Reads all records that there are, also while the run goes on.
  /// - Parameter done: told the bytes that were read so far, and those that there are.
  /// - Throws: `VisualizationError.noMetrics`.
  public init(ofRunAt run: String, done: (Int, Int) -> Void = { _, _ in }) throws {
    let path = "\(run)/metrics.jsonl"
    var follower = MetricsFollower(path: path)
    while follower.advance() { done(follower.bytesRead, follower.size) }
    guard !follower.whole.buckets.isEmpty else { throw VisualizationError.noMetrics(file: path) }
    history = follower.whole
    var judged = MetricsFollower(path: "\(run)/evaluations.jsonl")
    while judged.advance() {}
    evaluations = judged.whole
    self.run = run
  }

  /// Charts of what the records have; a figure that none has, or that is 0 in all, has no line.
  public var charts: [LineChart] {
    let all: [(title: String, lines: [(String, Metric)], fromZero: Bool)] = [
      (
        "Loss (nats)",
        hasKoLeo ? [("loss", .loss), ("consistency", .consistency), ("KoLeo", .koleo)] : [("loss", .loss)], false
      ),
      ("Learning rate", [("lr", .lr)], true),
      ("Target entropy (nats)", [("entropy", .targetEntropy)], false),
      ("Embedding spread (1 even, 0 alike)", [("spread", .embeddingSpread)], true),
      ("Rows ever chosen (share)", [("share", .chosenShare)], true),
      ("Gradient norm before clipping", [("norm", .gradientNorm)], true),
      ("Rate (images/s)", [("rate", .imagesPerSecond)], true),
      ("Directions of the features", [("RankMe", .rankMe), ("LiDAR", .lidar)], true),
      ("alpha-ReQ", [("alpha", .alphaReQ)], true),
      ("k-NN within the sample (accuracy)", [("k-NN", .knn)], true),
    ]
    return all.compactMap { title, lines, fromZero in
      let drawn = lines.compactMap { name, metric in
        let points = points(of: metric, in: history) + points(of: metric, in: evaluations)
        return points.isEmpty ? nil : LineChart.Line(name, points)
      }
      return drawn.isEmpty ? nil : LineChart(title, drawn, fromZero: fromZero)
    }
  }

  public var sheet: ChartSheet {
    let last = history.lastStep ?? 0
    return ChartSheet("\(run), to step \(last)", charts)
  }

  /// Without it the loss has one part.
  private var hasKoLeo: Bool { history.buckets.contains { $0[.koleo].count > 0 && $0[.koleo].largest != 0 } }

  private func points(of metric: Metric, in history: History) -> [LineChart.Point] {
    let buckets = history.buckets
    let together = max(1, (buckets.count + Self.pointsAtMost - 1) / Self.pointsAtMost)
    return stride(from: 0, to: buckets.count, by: together).compactMap { start in
      let part = buckets[start..<min(start + together, buckets.count)]
      let summaries = part.map { $0[metric] }.filter { $0.count > 0 }
      let count = summaries.reduce(0) { $0 + $1.count }
      guard let first = part.first, let last = part.last, count > 0 else { return nil }
      return LineChart.Point(
        step: Double(first.firstStep + last.lastStep) / 2, least: summaries.map(\.least).min() ?? 0,
        mean: summaries.reduce(0) { $0 + ($1.mean ?? 0) * Double($1.count) } / Double(count),
        largest: summaries.map(\.largest).max() ?? 0)
    }
  }
}
