import Messages
import Runs
import Wire

/// Asks a coordinator how its run is doing; anyone whom its socket lets in may.
public struct StatusInquiry: Sendable {
  private let endpoint: Endpoint
  private let inquiry: ControlInquiry

  /// - Throws: `WireError` for an address that can never be reached.
  public init(of endpoint: Endpoint, security: Security<ClientKeys>) throws {
    self.endpoint = endpoint
    inquiry = try ControlInquiry(of: endpoint, security: security)
  }

  public enum Answer: Sendable {
    case status(RunStatus)
    /// None came; and why not, where the connection says so: a key that is refused, for one.
    case none(WireError?)
  }

  /// - Parameter patience: how long to wait for a connection and an answer.
  /// - Throws: `WireError` of a peer that answers in a newer protocol, or whose answer cannot be read;
  ///   `ServiceError.unreadableStatus`.
  public func ask(patience: Duration) throws -> Answer {
    let (status, reason) = try inquiry.ask(.statusRequest, patience: patience) { message -> RunStatus? in
      guard case .status(let json) = message else { return nil }
      guard let status = RunStatus(json: json) else {
        throw ServiceError.unreadableStatus(coordinator: "\(endpoint)")
      }
      return status
    }
    return status.map { .status($0) } ?? .none(reason)
  }
}
