import Messages

/// Why something that was asked for on a bulk socket did not come.
public enum BulkError: Error, Equatable, CustomStringConvertible {
  /// There is no answer, and whose; nil where this process gave up waiting.
  case unanswered(BulkSilence?)
  /// Who was asked does not have it, or does not give it.
  case refused(by: Endpoint, reason: String)
  /// What came is not what was asked for.
  case otherBits(String, from: Endpoint)
  /// Nobody gives memory rows just now; what was said first.
  case rowsUnavailable(String)
  /// Nobody gives a step's weights just now; what was said first.
  case weightsUnavailable(String)
  /// Nobody gives a gradient that others computed; what was said first.
  case gradientsUnavailable(String)

  /// It may pass by itself, and says nothing about the lease that it was asked for.
  var isPassing: Bool {
    switch self {
    case .unanswered, .rowsUnavailable, .weightsUnavailable, .gradientsUnavailable: true
    case .refused, .otherBits: false
    }
  }

  public var description: String {
    switch self {
    case .unanswered(nil): "there is no answer on the bulk socket"
    case .unanswered(let silence?): "\(silence)"
    case .refused(let endpoint, let reason): "\(endpoint) refused: \(reason)"
    case .otherBits(let what, let endpoint): "\(what) came from \(endpoint) with other bits than were asked for"
    case .rowsUnavailable(let reason): "memory rows cannot be had just now: \(reason)"
    case .weightsUnavailable(let reason): "weights cannot be had just now: \(reason)"
    case .gradientsUnavailable(let reason): "a gradient cannot be had: \(reason)"
    }
  }
}
