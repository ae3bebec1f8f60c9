import Wire

/// Asks a coordinator how its run is doing; anyone whom its socket lets in may.
public struct StatusInquiry: Sendable {
  private let endpoint: Endpoint
  private let socket: DealerSocket
  /// Holds the socket's library.
  private let context: Context
  private let sender: Sender

  /// - Throws: `WireError` for an address that can never be reached.
  public init(of endpoint: Endpoint, security: Security<ClientKeys>) throws {
    self.endpoint = endpoint
    context = try Context()
    let peer = PeerID.random()
    socket = try DealerSocket(in: context, as: peer, connectingTo: endpoint, for: .control, security: security)
    sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: peer)
  }

  /// - Parameter patience: how long to wait for a connection and an answer.
  /// - Returns: nil if there was none.
  /// - Throws: `WireError` of a peer that answers in a newer protocol, or whose answer cannot be read.
  public func ask(patience: Duration) throws -> RunStatus? {
    let deadline = ContinuousClock.now + patience
    let question = Outgoing(Envelope(sender: sender, message: .worker(.statusRequest)))
    guard try socket.send(question, timeout: patience) == .sent else { return nil }
    while ContinuousClock.now < deadline {
      switch try socket.receive(timeout: max(.zero, deadline - .now)) {
      case .message(let incoming):
        guard case .coordinator(.status(let json)) = incoming.envelope.message else { continue }
        guard let status = RunStatus(json: json) else {
          throw ServiceError.unreadableStatus(coordinator: "\(endpoint)")
        }
        return status
      case .malformed(_, let error): throw error
      case nil: continue
      }
    }
    return nil
  }
}
