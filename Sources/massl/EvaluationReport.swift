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

  /// Says what a folder has that counts otherwise than one might think.
  func look(at pictures: LabelledPictures) {
    let root = pictures.root
    if pictures.strays > 0 {
      say(
        "Warning: \(pictures.strays) pictures of \(root) have no class: they lie in no class's folder, or their tar has no "
          + ".cls entry of theirs. They are left out.")
    }
    if pictures.nested > 0 {
      say(
        "Warning: \(pictures.nested) pictures of \(root) lie deeper than in a class's folder. They count as that "
          + "folder's.")
    }
  }

  /// Says what the two folders have that counts otherwise than one might think.
  /// - Throws: `EvaluationError.otherClasses` if they have no class in common.
  func look(at bank: LabelledPictures, _ queries: LabelledPictures) throws {
    for pictures in [bank, queries] { look(at: pictures) }
    if bank.selection.dataSet.identity == queries.selection.dataSet.identity {
      say("Warning: --train and --test hold the same pictures. Each is judged by what is known of itself.")
    }
    let (voting, asked) = (Set(bank.names), Set(queries.names))
    guard !voting.isDisjoint(with: asked) else {
      throw EvaluationError.otherClasses(train: bank.root, test: queries.root)
    }
    let (unasked, strangers) = (voting.subtracting(asked).sorted(), asked.subtracting(voting).sorted())
    if !unasked.isEmpty {
      say("Warning: only \(bank.root) has \(list(unasked)). None of theirs is asked.")
    }
    if !strangers.isEmpty {
      say("Warning: only \(queries.root) has \(list(strangers)). Their pictures are asked, and count as wrong.")
    }
  }

  private func list(_ classes: [String]) -> String {
    let named = classes.prefix(5).map { "'\($0)'" }.joined(separator: ", ")
    return "the class\(classes.count == 1 ? "" : "es") \(named)"
      + (classes.count > 5 ? " and \(classes.count - 5) more" : "")
  }

  /// Names the pictures that had to be left out, unless they were named before.
  /// - Parameter flag: the folder's.
  mutating func name(skipped: [SkippedPicture], of flag: String) {
    let fresh = skipped.filter { named.insert($0.path).inserted }
    guard !fresh.isEmpty else { return }
    for picture in fresh.prefix(Self.namedAtMost) { say("Warning: skipped \(picture)") }
    let rest = max(0, fresh.count - Self.namedAtMost)
    say("\(skipped.count) pictures of \(flag) skipped\(rest > 0 ? ", \(rest) of them not named here" : "").")
  }
}

extension EvaluationRemarks {
  /// Names what a list names and a folder has not.
  func name(missing names: [String], of file: String, in folder: String) {
    for name in names.prefix(Self.namedAtMost) { say("Warning: \(folder) has no \(name), which \(file) names.") }
    let rest = max(0, names.count - Self.namedAtMost)
    if !names.isEmpty {
      say("\(names.count) names of \(file) are no picture's\(rest > 0 ? ", \(rest) of them not shown here" : "").")
    }
  }
}

extension EvaluationRemarks {
  /// Names copies that belong to no original.
  func name(strangers paths: [String]) {
    for path in paths.prefix(Self.namedAtMost) { say("Warning: \(path) is a copy of no original, by its name.") }
    let rest = max(0, paths.count - Self.namedAtMost)
    if !paths.isEmpty {
      say("\(paths.count) copies left out\(rest > 0 ? ", \(rest) of them not shown here" : "").")
    }
  }
}

/// How far an evaluation is, on standard error: rewritten on a terminal, elsewhere a line every ten seconds.
final class EvaluationProgress: Sendable {
  private let name: String
  private let total: Int
  private let unit: String
  private let start = ContinuousClock.now
  private let state: Mutex<(done: Int, rate: RateEstimator, shown: Duration)>

  /// - Parameters:
  ///   - name: of what is under way.
  ///   - unit: what there are `total` of, in the plural.
  init(_ name: String, _ total: Int, of unit: String) {
    self.name = name
    self.total = total
    self.unit = unit
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
      let left = ProgressLine.duration(Double(total - state.done) / rate)
      return "\(name): \(state.done) of \(total) \(unit)  \(String(format: "%.1f", rate)) a second  \(left) left"
    }
    if let line { Console.standardError.show(progress: line) }
  }

  func finish() { Console.standardError.endProgress() }
}
