/// Why a run ended that did not reach its end, where it is known what another start would bring: supervisors ask.
public enum RunFailure: Error, Equatable, CustomStringConvertible {
  /// Every start would end here (exit code 65); a sentence.
  case hopeless(String)
  /// Something outside was in the way, a full disk for one: a later start goes on (exit code 75); a sentence.
  case hindered(String)

  public var description: String {
    switch self {
    case .hopeless(let text), .hindered(let text): text
    }
  }
}
