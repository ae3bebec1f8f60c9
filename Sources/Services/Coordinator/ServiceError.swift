/// Why a process cannot go on, or is not answered, beyond what the modules below have to say.
public enum ServiceError: Error, Equatable, CustomStringConvertible {
  /// The disk stayed full while the process was asked to leave.
  case noRoomForRows(step: Int, reason: String)
  case unreadableStatus(coordinator: String)
  case noAnswer(coordinator: String)

  public var description: String {
    switch self {
    case .noRoomForRows(let step, let reason):
      "The rows of step \(step) could not be stored (\(reason)), and the process was asked to leave. Make room, then "
        + "start it again: it resumes from the newest checkpoint."
    case .unreadableStatus(let coordinator):
      "The coordinator at \(coordinator) answers with a status that this massl cannot read. Run the same version on both "
        + "sides."
    case .noAnswer(let coordinator):
      "No answer from a coordinator at \(coordinator). Check the address, that it runs, and that its keys let this "
        + "process in."
    }
  }
}
