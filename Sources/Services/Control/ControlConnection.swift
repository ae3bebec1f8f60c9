import Coordination
import Messages
import Synchronization
import Wire

/// A worker's or a shard's line to its coordinator's control socket.
///
///     try line.open { event in ... }      // events come one at a time, in the socket's thread
///     line.say(message, from: sender)     // from any thread
///     line.close()                        // what was said has left then, or had a second to leave
///
/// Its context is its own, so that it can end, and have sent everything, while other sockets of the process still close.
final class ControlConnection: Sendable {
  enum Event: Sendable {
    case received(CoordinatorMessage, from: Sender)
    /// The connection was lost, or none stood, so that the last word never left.
    case connectionLost
    /// At least once every tick.
    case tick
    /// The socket is of no use any more.
    case failed(String)
  }

  /// Who this process is, to the coordinator.
  let peer = PeerID.random()
  private let coordinator: Endpoint
  private let log: ServiceLog
  private let state = Mutex(State())

  private struct State: Sendable {
    var thread: SocketThread?
    var end: ContextEnd?
    /// Where a connection stands, or stood before it was lost.
    var address: Endpoint?
  }

  init(to coordinator: Endpoint, log: @escaping ServiceLog) {
    self.coordinator = coordinator
    self.log = log
  }

  /// - Parameter tick: the longest time between two events.
  /// - Throws: `WireError` for an endpoint that can never be reached, or when ZeroMQ cannot start.
  func open(
    security: Security<ClientKeys>, tick: Duration, _ handle: @escaping @Sendable (Event) -> Void
  ) throws {
    let context = try Context()
    let socket = try DealerSocket(
      in: context, as: peer, connectingTo: coordinator, for: .control, security: security)
    let thread = try SocketThread(named: "massl-control", owning: socket, outboxCapacity: 256, tick: tick) {
      [self] event, socket in
      if let address = socket.connected { state.withLock { $0.address = address } }
      take(event, handle)
    }
    state.withLock { ($0.thread, $0.end) = (thread, context.end) }
  }

  /// Which of the coordinator's addresses answers; nil before one did.
  var address: Endpoint? { state.withLock { $0.address } }

  /// Ends the thread, and waits until what was said has left, a second at most.
  func close() {
    let (thread, end) = state.withLock { state in
      defer { (state.thread, state.end) = (nil, nil) }
      return (state.thread, state.end)
    }
    thread?.stop()
    end?.wait()
  }

  /// From any thread; dropped where nothing is open, or too much waits.
  func say(_ message: Message, from sender: Sender) {
    _ = state.withLock { $0.thread }?.send(Outgoing(Envelope(sender: sender, message: message)))
  }

  private func take(_ event: SocketEvent, _ handle: (Event) -> Void) {
    switch event {
    case .received(.message(let incoming)):
      guard case .coordinator(let message) = incoming.envelope.message else { return }
      handle(.received(message, from: incoming.envelope.sender))
    case .received(.malformed(_, let error, _)): log(.warning, "\(error)")
    case .received(.disconnected), .undelivered: handle(.connectionLost)
    case .tick: handle(.tick)
    case .failed(let error): handle(.failed("\(error)"))
    }
  }
}
