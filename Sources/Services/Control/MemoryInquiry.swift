import Messages
import Wire

/// Asks a coordinator about the run's memory shards, or to empty one; anyone whom its socket lets in may.
public struct MemoryInquiry: Sendable {
  private let inquiry: ControlInquiry

  /// - Throws: `WireError` for an address that can never be reached.
  public init(of endpoint: Endpoint, security: Security<ClientKeys>) throws {
    inquiry = try ControlInquiry(of: endpoint, security: security)
  }

  /// Shards and extents, as JSON; nil if nobody answered within `patience`, and nothing says why.
  /// - Throws: `WireError` of a peer that answers in a newer protocol, or whose answer cannot be read, or why nobody
  ///   answered: a key that is refused, for one.
  public func list(patience: Duration) throws -> String? {
    try ask(.memoryRequest, patience) { message in
      if case .memory(let json) = message { json } else { nil }
    }
  }

  /// Asks that a shard be emptied and sent away.
  ///
  /// - Parameter shard: its name, or the digits of its identity.
  /// - Returns: whether it will be, and a sentence; nil if nobody answered within `patience`.
  /// - Throws: as `list`.
  public func drain(_ shard: String, patience: Duration) throws -> (isAccepted: Bool, text: String)? {
    try ask(.drainRequest(shard: shard), patience)
  }

  /// Asks that a shard that is being drained stay; otherwise as `drain`.
  public func cancelDrain(of shard: String, patience: Duration) throws -> (isAccepted: Bool, text: String)? {
    try ask(.stayRequest(shard: shard), patience)
  }

  private func ask(_ message: WorkerMessage, _ patience: Duration) throws -> (isAccepted: Bool, text: String)? {
    try ask(message, patience) { message in
      if case .drain(let isAccepted, let text) = message { (isAccepted, text) } else { nil }
    }
  }

  private func ask<Answer>(
    _ message: WorkerMessage, _ patience: Duration, match: (CoordinatorMessage) -> Answer?
  ) throws -> Answer? {
    let (answer, reason) = try inquiry.ask(message, patience: patience, match: match)
    if answer == nil, let reason { throw reason }
    return answer
  }
}
