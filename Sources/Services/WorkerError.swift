import Wire

/// Why a worker cannot go on, or has to give a lease back.
public enum WorkerError: Error, Equatable, CustomStringConvertible {
  /// No answer on the bulk socket.
  case bulkUnanswered
  /// The coordinator does not have, or does not give, what was asked for.
  case refused(String)
  /// What came is not what the lease promised.
  case otherBits(String)
  /// The coordinator will not work with this worker.
  case turnedAway(coordinator: String, reason: String)

  public var description: String {
    switch self {
    case .bulkUnanswered: "the coordinator does not answer on its bulk socket"
    case .refused(let reason): "the coordinator refused: \(reason)"
    case .otherBits(let what): "\(what) came with other bits than the lease names"
    case .turnedAway(let coordinator, let reason):
      "The coordinator at \(coordinator) turned this worker away: \(reason)"
    }
  }
}
