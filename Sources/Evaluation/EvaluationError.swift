/// Why features cannot be evaluated.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case noClasses(folder: String)
  case otherClasses(train: String, test: String)
  /// Not one picture of a folder could be read.
  case nothingLeft(folder: String, skipped: Int, first: String)
  /// A file of tensors without a backbone that this massl knows.
  case noBackbone(file: String, reason: String)
  /// A file that does not say how many heads its network has, which no tensor's shape tells.
  case unknownHeads(file: String, embedDim: Int)
  /// Weights that are not finite.
  case notFinite(file: String, tensor: String, count: Int)
  /// Features that are not finite though all weights are.
  case featuresNotFinite(picture: String)
  /// Bytes that are needed and that there are.
  case tooLarge(needed: Int, available: Int)

  public var description: String {
    switch self {
    case .noClasses(let folder): "\(folder) has no classes: k-NN wants a folder per class."
    case .otherClasses(let train, let test):
      "\(train) and \(test) have folders of other names: they have no class in common. Give two parts of one data set."
    case .nothingLeft(let folder, let skipped, let first):
      "None of the \(skipped) pictures of \(folder) can be used. The first is \(first). Look at the data set."
    case .noBackbone(let file, let reason):
      "\(file) holds no Vision Transformer as massl knows it: \(reason). Give a file that massl export wrote, one of a "
        + "checkpoint, or a backbone with the same names (cls_token, pos_embed, blocks.0.norm1.weight and so on)."
    case .unknownHeads(let file, let embedDim):
      "\(file) does not say how many heads its network has, and no arch is \(embedDim) wide. Give --num-heads."
    case .notFinite(let file, let tensor, let count):
      "\(file): tensor '\(tensor)' has \(count) values that are not finite (NaN or infinity), so no feature would be. "
        + "Give the file of an earlier step."
    case .featuresNotFinite(let picture):
      "The features of \(picture) are not finite, though all weights are. The network's sizes may be others than given."
    case .tooLarge(let needed, let available):
      "This takes \(mebibytes(needed)) of memory, and there are \(mebibytes(available)). Use fewer pictures: "
        + "--train-every, --test-every."
    }
  }
}

/// "412 MiB", rounded up.
public func mebibytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }
