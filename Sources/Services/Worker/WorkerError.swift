/// Why a worker cannot go on, or has to give a lease back.
public enum WorkerError: Error, Equatable, CustomStringConvertible {
  /// No answer on a bulk socket, and whose; nil where this process gave up waiting.
  case bulkUnanswered(BulkSilence?)
  /// The coordinator does not have, or does not give, what was asked for.
  case refused(String)
  /// Nobody gives memory rows just now; what was said first.
  case rowsUnavailable(String)
  /// The coordinator does not give a picture just now: it finds out why, and says what follows.
  case pictureUnavailable(String)
  /// What came is not what the lease promised.
  case otherBits(String)
  /// The coordinator will not work with this worker: starting it again is of no use.
  case turnedAway(coordinator: String, reason: String)
  /// The connection cannot be used any more.
  case socketFailed(coordinator: String, reason: String)

  /// It may pass by itself, and says nothing about the lease.
  var isPassing: Bool {
    switch self {
    case .bulkUnanswered, .rowsUnavailable, .pictureUnavailable: true
    default: false
    }
  }

  public var description: String {
    switch self {
    case .bulkUnanswered(nil): "there is no answer on the bulk socket"
    case .bulkUnanswered(let silence?): "\(silence)"
    case .refused(let reason): "the coordinator refused: \(reason)"
    case .rowsUnavailable(let reason): "memory rows cannot be had just now: \(reason)"
    case .pictureUnavailable(let reason): "a picture cannot be had just now: \(reason)"
    case .otherBits(let what): "\(what) came with other bits than the lease names"
    case .turnedAway(let coordinator, let reason):
      "The coordinator at \(coordinator) turned this worker away: \(reason)"
    case .socketFailed(let coordinator, let reason):
      "The connection to the coordinator at \(coordinator) failed: \(reason)"
    }
  }
}
