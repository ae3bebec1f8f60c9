/// Why a coordinator cannot start, or cannot go on, beyond what the modules below have to say.
///
/// Supervisors want to know what another start would bring: the same after `hopeless` and `notFinite` (exit code 65), more
/// after `hindered` and `noRoomForRows` (75).
public enum ServiceError: Error, Equatable, CustomStringConvertible {
  /// A setting that steers the training differs from the run's, and was not asked for by `--change`.
  case unaskedChange(run: String, key: String, saved: String, given: String)
  /// The loss went out of bounds: the weights of this step cannot be made.
  case notFinite(step: Int)
  /// The disk stayed full while the process was asked to leave.
  case noRoomForRows(step: Int, reason: String)
  /// The run ended, and every start would end there; a sentence.
  case hopeless(String)
  /// The run ended for something outside of it, a full disk for one; a sentence.
  case hindered(String)

  public var description: String {
    switch self {
    case .unaskedChange(let run, let key, let saved, let given):
      "\(run) is trained with \(key) \(saved), not \(given). Give --change \(key)=\(given) to go on with the new value, "
        + "or \(key) \(saved) to keep the old one."
    case .notFinite(let step):
      "The gradient of step \(step) is not finite: its weights cannot be made. Resuming will meet it again: fork the run "
        + "from an earlier step with other settings."
    case .noRoomForRows(let step, let reason):
      "The rows of step \(step) could not be stored (\(reason)), and the process was asked to leave. Make room, then "
        + "start it again: it resumes from the newest checkpoint."
    case .hopeless(let text), .hindered(let text): text
    }
  }
}
