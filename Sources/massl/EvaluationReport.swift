import Evaluation
import Foundation
import Synchronization
import Telemetry

/// What people should know beside the figures, on standard error.
struct EvaluationRemarks {
  private var named: Set<String> = []

  /// Pictures that are named one by one; the rest is counted.
  private static let namedAtMost = 100

  func say(_ sentence: String) { Console.standardError.write(line: sentence) }

  /// Says what the two folders have that counts otherwise than one might think.
  /// - Throws: `EvaluationError.otherClasses` if they have no class in common.
  func look(at bank: LabelledPictures, _ queries: LabelledPictures) throws {
    for pictures in [bank, queries] {
      let root = pictures.dataSet.root
      if pictures.strays > 0 {
        say("Warning: \(pictures.strays) pictures lie in \(root) itself, in no class's folder. They are left out.")
      }
      if pictures.nested > 0 {
        say(
          "Warning: \(pictures.nested) pictures of \(root) lie deeper than in a class's folder. They count as that "
            + "folder's.")
      }
    }
    let (voting, asked) = (Set(bank.names), Set(queries.names))
    guard !voting.isDisjoint(with: asked) else {
      throw EvaluationError.otherClasses(train: bank.dataSet.root, test: queries.dataSet.root)
    }
    let (unasked, strangers) = (voting.subtracting(asked).sorted(), asked.subtracting(voting).sorted())
    if !unasked.isEmpty {
      say("Warning: only \(bank.dataSet.root) has \(list(unasked)). Their pictures vote, and none of theirs is asked.")
    }
    if !strangers.isEmpty {
      say("Warning: only \(queries.dataSet.root) has \(list(strangers)). Their pictures are asked, and count as wrong.")
    }
  }

  private func list(_ classes: [String]) -> String {
    let named = classes.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
    return "the class\(classes.count == 1 ? "" : "es") \(named)"
      + (classes.count > 5 ? " and \(classes.count - 5) more" : "")
  }

  /// Names the pictures that a row had to do without, unless an earlier row named them.
  mutating func name(skipped row: NearestNeighborsJudge.Row) {
    for (side, skipped) in [("train", row.skippedOfBank), ("test", row.skippedOfQueries)] {
      let fresh = skipped.filter { named.insert($0.path).inserted }
      guard !fresh.isEmpty else { continue }
      for picture in fresh.prefix(Self.namedAtMost) { say("Warning: skipped \(picture)") }
      let rest = max(0, fresh.count - Self.namedAtMost)
      say("\(skipped.count) pictures of --\(side) skipped\(rest > 0 ? ", \(rest) of them not named here" : "").")
    }
  }
}

/// Results, a row a source.
struct EvaluationTable {
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

/// How far a row is, on standard error: rewritten on a terminal, elsewhere a line every ten seconds.
final class EvaluationProgress: Sendable {
  private let name: String
  private let pictures: Int
  private let start = ContinuousClock.now
  private let state: Mutex<(done: Int, rate: RateEstimator, shown: Duration)>

  init(_ name: String, pictures: Int) {
    self.name = name
    self.pictures = pictures
    state = Mutex((0, RateEstimator(startingAt: 0, timeConstant: 20), .zero))
  }

  func add(_ count: Int) {
    let passed = ContinuousClock.now - start
    let line: String? = state.withLock { state in
      state.done += count
      state.rate.finished(images: count, at: passed / .seconds(1))
      guard passed - state.shown > (Console.standardError.isTerminal ? .milliseconds(200) : .seconds(10)) else {
        return nil
      }
      state.shown = passed
      guard let rate = state.rate.imagesPerSecond, rate > 0 else { return nil }
      let left = ProgressLine.duration(Double(pictures - state.done) / rate)
      return "\(name): \(state.done) of \(pictures) pictures  \(String(format: "%.1f", rate)) a second  \(left) left"
    }
    if let line { Console.standardError.show(progress: line) }
  }

  func finish() { Console.standardError.endProgress() }
}
