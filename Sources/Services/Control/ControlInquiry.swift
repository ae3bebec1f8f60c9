import Messages
import Wire

/// One question to a coordinator's control socket, from somebody who is no worker.
struct ControlInquiry: Sendable {
  private let socket: DealerSocket
  /// Holds the socket's library.
  private let context: Context
  private let sender: Sender

  /// - Throws: `WireError` for an address that can never be reached.
  init(of endpoint: Endpoint, security: Security<ClientKeys>) throws {
    context = try Context()
    let peer = PeerID.random()
    socket = try DealerSocket(in: context, as: peer, connectingTo: endpoint, for: .control, security: security)
    sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: peer)
  }

  /// - Parameters:
  ///   - patience: how long to wait for a connection and an answer.
  ///   - match: the answer in a message; nil for another message.
  /// - Returns: the answer, or why none came where the connection says so: a key that is refused, a name that is unknown,
  ///   addresses that were tried in vain.
  /// - Throws: `WireError` of a peer that answers in a newer protocol, or whose answer cannot be read.
  func ask<Answer>(
    _ message: WorkerMessage, patience: Duration, match: (CoordinatorMessage) throws -> Answer?
  ) throws -> (answer: Answer?, reason: WireError?) {
    let deadline = ContinuousClock.now + patience
    let question = Outgoing(Envelope(sender: sender, message: .worker(message)))
    var isAsked = false
    var reason: WireError?
    while ContinuousClock.now < deadline {
      // Short looks, for what the socket has to say of a connection that fails comes by `receive`.
      if !isAsked { isAsked = try socket.send(question, timeout: .milliseconds(100)) == .sent }
      let wait = isAsked ? max(.zero, deadline - .now) : .zero
      switch try socket.receive(timeout: wait) {
      case .message(let incoming):
        guard case .coordinator(let message) = incoming.envelope.message, let answer = try match(message) else {
          continue
        }
        return (answer, nil)
      case .malformed(_, let error, _):
        switch error {
        case .unknownHost: return (nil, error)
        case .handshakeFailed:
          reason = error
          if !socket.hasOtherAddresses { return (nil, error) }
        case .noConnection:
          // All had their turn: one that refused us says more than those where nobody listens.
          if reason != nil, reason != error { return (nil, reason) }
          reason = error
        default: throw error
        }
      // The question, or its answer, may be lost with the connection.
      case .disconnected: isAsked = false
      case nil: continue
      }
    }
    return (nil, reason)
  }
}
