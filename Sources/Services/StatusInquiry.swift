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

  public enum Answer: Sendable {
    case status(RunStatus)
    /// None came; and why not, where the connection says so: a key that is refused, for one.
    case none(WireError?)
  }

  /// - Parameter patience: how long to wait for a connection and an answer.
  /// - Throws: `WireError` of a peer that answers in a newer protocol, or whose answer cannot be read;
  ///   `ServiceError.unreadableStatus`.
  public func ask(patience: Duration) throws -> Answer {
    let deadline = ContinuousClock.now + patience
    let question = Outgoing(Envelope(sender: sender, message: .worker(.statusRequest)))
    var isAsked = false
    while ContinuousClock.now < deadline {
      // Short looks, for what the socket has to say of a connection that fails comes by `receive`.
      if !isAsked { isAsked = try socket.send(question, timeout: .milliseconds(100)) == .sent }
      let wait = isAsked ? max(.zero, deadline - .now) : .zero
      switch try socket.receive(timeout: wait) {
      case .message(let incoming):
        guard case .coordinator(.status(let json)) = incoming.envelope.message else { continue }
        guard let status = RunStatus(json: json) else {
          throw ServiceError.unreadableStatus(coordinator: "\(endpoint)")
        }
        return .status(status)
      case .malformed(_, let error):
        if case .handshakeFailed = error { return .none(error) }
        throw error
      case nil: continue
      }
    }
    return .none(nil)
  }
}
