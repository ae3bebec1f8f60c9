/// Why a worker cannot go on, or has to give a lease back.
public enum WorkerError: Error, Equatable, CustomStringConvertible {
  /// The lease was cancelled before its turn came.
  case cancelled
  /// The lease is of an incarnation of the coordinator that is no more.
  case outdated
  /// The coordinator does not give a picture just now: it finds out why, and says what follows.
  case pictureUnavailable(String)
  /// The coordinator will not work with this worker: starting it again is of no use.
  case turnedAway(coordinator: String, reason: String)
  /// The connection cannot be used any more.
  case socketFailed(coordinator: String, reason: String)

  /// It may pass by itself, and says nothing about the lease.
  var isPassing: Bool {
    switch self {
    case .pictureUnavailable: true
    case .cancelled, .outdated, .turnedAway, .socketFailed: false
    }
  }

  public var description: String {
    switch self {
    case .cancelled: "the lease was cancelled"
    case .outdated: "the coordinator started anew"
    case .pictureUnavailable(let reason): "a picture cannot be had just now: \(reason)"
    case .turnedAway(let coordinator, let reason):
      "The coordinator at \(coordinator) turned this worker away: \(reason)"
    case .socketFailed(let coordinator, let reason):
      "The connection to the coordinator at \(coordinator) failed: \(reason)"
    }
  }
}
