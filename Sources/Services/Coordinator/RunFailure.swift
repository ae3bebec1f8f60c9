/// Why a run cannot go on, in a sentence, told apart by what another start would bring: supervisors ask.
public enum RunFailure: Error, Equatable, CustomStringConvertible {
  /// That is not known (exit code 1).
  case failed(String)
  /// Every start would end here (exit code 65).
  case permanent(String)
  /// Something outside was in the way, a full disk for one: a later start goes on (exit code 75).
  case retryable(String)

  public var description: String {
    switch self {
    case .failed(let text), .permanent(let text), .retryable(let text): text
    }
  }
}
