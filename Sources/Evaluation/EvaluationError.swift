/// Why features cannot be evaluated.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case noClasses(folder: String)
  case otherClasses(train: String, test: String)
  /// Not one picture of a folder could be read.
  case nothingLeft(folder: String, skipped: Int, first: String)
  /// A file that does not say how many heads its network has, which no tensor's shape tells.
  case unknownHeads(file: String, embedDim: Int)
  /// Features that are not finite though all weights are.
  case featuresNotFinite(picture: String)
  /// Bytes that are needed and that there are.
  case tooLarge(needed: Int, available: Int)
  /// Classes with a picture that can be used; two at least are wanted.
  case tooFewClasses(folder: String, found: Int)
  case tooFewPictures(folder: String, found: Int, wanted: Int)
  /// A name that two pictures have.
  case ambiguousName(file: String, name: String, first: String, second: String)
  /// A list of file names, none of which is a picture's.
  case emptySplit(file: String, folder: String)
  /// A fit whose logits are not finite.
  case noFit(penalty: Double)
  case groundTruth(file: String, reason: String)
  case missingPictures(folder: String, names: [String])
  /// No copy belongs to an original, by their names.
  case noCopies(originals: String, copies: String)
  /// Fewer than two pictures to learn whitening from, or all alike.
  case noWhitening(pictures: Int)

  public var description: String {
    switch self {
    case .noClasses(let folder):
      "\(folder) has no classes: there must be a folder per class. In tars a .cls entry beside a "
        + "picture says it too."
    case .otherClasses(let train, let test):
      "\(train) and \(test) have folders of other names: they have no class in common. Give two parts of one data set."
    case .nothingLeft(let folder, let skipped, let first):
      "None of the \(skipped) pictures of \(folder) can be used. The first is \(first). Look at the data set."
    case .unknownHeads(let file, let embedDim):
      "\(file) does not say how many heads its network has, and no arch is \(embedDim) wide. Give --num-heads."
    case .featuresNotFinite(let picture):
      "The features of \(picture) are not finite, though all weights are. The network's sizes may be others than given."
    case .tooLarge(let needed, let available):
      "This takes \(mebibytes(needed)) of memory, and there are \(mebibytes(available)). Use fewer pictures "
        + "(--every, or --train-every and --test-every, where the command has them), or a machine with more memory."
    case .tooFewClasses(let folder, let found):
      "\(folder) has pictures of \(found) class\(found == 1 ? "" : "es") that can be used. There must be two at least, a "
        + "folder each."
    case .tooFewPictures(let folder, let found, let wanted):
      "\(folder) has \(found) pictures that can be used, and \(wanted) are wanted at least. Give more, or fewer --clusters."
    case .ambiguousName(let file, let name, let first, let second):
      "\(file) names '\(name)', which may be \(first) or \(second). Names must tell pictures apart: give the folder too, "
        + "or another root."
    case .emptySplit(let file, let folder):
      "\(file) names no picture of \(folder). It must have a file name a line, as it is below that folder."
    case .noFit(let penalty):
      "The logistic regression with penalty \(penalty) has no finite result. Give larger penalties: --l2."
    case .groundTruth(let file, let reason):
      "\(file) is no ground truth as massl reads it: \(reason). Make it of the published pickle in Python: "
        + RetrievalGroundTruth.conversion
    case .missingPictures(let folder, let names):
      "\(folder) lacks \(names.count) pictures that the ground truth names: \(names.prefix(10).joined(separator: ", "))"
        + "\(names.count > 10 ? " and so on" : ""). Give the folder that holds them all, as .jpg, .jpeg, .png or .webp, at "
        + "any depth."
    case .noCopies(let originals, let copies):
      "No picture of \(copies) belongs to one of \(originals). Name a folder in \(copies) for each original, or the copies "
        + "themselves, or number them as Copydays does (200001 is a copy of 200000)."
    case .noWhitening(let pictures):
      "Whitening cannot be learned from \(pictures) picture\(pictures == 1 ? "" : "s that are all alike"). Give --whiten a "
        + "folder of many different ones."
    }
  }
}

/// "412 MiB", rounded up.
public func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }
