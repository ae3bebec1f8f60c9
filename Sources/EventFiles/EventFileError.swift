/// Why a run's events do not come into their files. No step depends on it.
public enum EventFileError: Error, Equatable {
  case cannotMake(String, reason: String)
  case cannotWrite(String, reason: String)
  case inUse(String)
}

extension EventFileError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cannotMake(let folder, let reason):
      "Cannot write event files to \(folder): \(reason). Give a folder that can be written to."
    case .cannotWrite(let file, let reason): "Cannot write to \(file): \(reason)."
    case .inUse(let folder):
      "Another process writes event files to \(folder). One is enough; give another folder for a second one."
    }
  }
}
