/// Why features cannot be evaluated.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case noClasses(folder: String)
  case otherClasses(train: String, test: String)
  /// A file of tensors that does not say of which network.
  case noConfiguration(file: String)

  public var description: String {
    switch self {
    case .noClasses(let folder): "\(folder) has no classes: k-NN wants a folder per class."
    case .otherClasses(let train, let test):
      "\(train) and \(test) have folders of other names, so their classes differ. Give two parts of one data set."
    case .noConfiguration(let file):
      "\(file) does not say which network it is of: its metadata has no configuration. Give a file that massl export "
        + "wrote, or one of a checkpoint."
    }
  }
}
