import ArgumentParser
import Evaluation

/// Whose features are judged: the trained network's, and what to compare it with.
package struct EvaluatedSources: ParsableArguments {
  @Flag(help: "Judge the same network as it was before its first step, too.")
  package var untrained = false

  package init() {}

  /// In the order in which they are judged.
  var all: [FrozenFeatures.Source] { untrained ? [.trained, .untrained] : [.trained] }
}

extension FrozenFeatures {
  /// The features of pictures, with progress; names those that have to be left out.
  /// - Parameter flag: the folder's.
  func rows(
    of pictures: PictureSelection, _ source: Source, flag: String, _ remarks: inout EvaluationRemarks
  ) throws -> FeatureRows {
    let progress = EvaluationProgress("\(source.rawValue), \(flag)", pictures.count, of: "pictures")
    defer { progress.finish() }
    let rows = try rows(of: pictures, source) { progress.add($0) }
    progress.finish()
    remarks.name(skipped: rows.skippedInOrder, of: flag)
    return rows
  }
}
