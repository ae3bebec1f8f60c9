/// Why a run cannot be shown.
public enum PageError: Error, Equatable {
  case noFolder(String)
  case tokenFile(String, problem: String)
  case tokenNeeded(address: String)
}

extension PageError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .noFolder(let path): "There is no folder \(path). Give the run directory of a run that was started."
    case .tokenFile(let path, let problem): "The token file \(path) is of no use: \(problem)."
    case .tokenNeeded(let address):
      "At \(address) other machines can see the page. Give --token-file, a file with a secret that they have to say, or "
        + "listen at 127.0.0.1 and reach it through ssh -L."
    }
  }
}
