import Evaluation

/// The pictures that are learned from, and those that are asked.
struct LabelledSides {
  let train: LabelledPictures
  let test: LabelledPictures

  /// Pictures that are asked and are of classes that nobody learns.
  var strangers: Int { test.classes(among: train.names).count { $0 == nil } }

  /// The features of both, without those of skipped pictures.
  /// - Throws: `EvaluationError.tooFewClasses` if there is nothing to tell apart.
  func features(
    _ frozen: FrozenFeatures, _ source: FrozenFeatures.Source, _ remarks: inout EvaluationRemarks
  ) throws -> (train: LabelledFeatures<Int>, test: LabelledFeatures<Int?>) {
    let known = try LabelledFeatures(
      frozen.rows(of: train.selection, source, flag: "--train", &remarks), train.classes, of: train.selection)
    let found = Set(known.labels).count
    if found < 2 { throw EvaluationError.tooFewClasses(folder: train.root, found: found) }
    let asked = try LabelledFeatures(
      frozen.rows(of: test.selection, source, flag: "--test", &remarks), test.classes(among: train.names),
      of: test.selection)
    return (known, asked)
  }
}

extension LabelledFolders {
  /// Lists both, and says what people should know of them.
  func listed(_ remarks: inout EvaluationRemarks) throws -> LabelledSides {
    let sides = LabelledSides(
      train: try LabelledPictures(train, every: trainEvery), test: try LabelledPictures(test, every: testEvery))
    try remarks.look(at: sides.train, sides.test)
    return sides
  }

  /// As `listed`, for what tells classes apart: two at least.
  /// - Throws: `EvaluationError.tooFewClasses`.
  func pictures(_ remarks: inout EvaluationRemarks) throws -> LabelledSides {
    let sides = try listed(&remarks)
    let found = Set(sides.train.classes).count
    if found < 2 { throw EvaluationError.tooFewClasses(folder: train, found: found) }
    return sides
  }
}
