import Synchronization
import Wire

/// A worker's or a shard's line to its coordinator's control socket: has hello said until it is welcomed, and says to
/// people when nobody answers.
///
///     try line.open { event in ... }      // events come one at a time, in the socket's thread
///     line.isWelcomed()                   // from now on `.isDue` every second, and no hello
///     line.isUnknown()                    // the coordinator does not know us (any more): hello again
///     line.close()                        // what was said is sent first
final class ControlLine: Sendable {
  enum Event: Sendable {
    case received(CoordinatorMessage, from: Sender)
    /// Say hello now.
    case wantsHello
    /// A second went by with a coordinator that knows us: time for a sign of life.
    case isDue
    /// Nobody answered for as long as one was ready to wait.
    case isSilent
    /// The socket is of no use any more.
    case failed(String)
  }

  private static let signOfLifeEvery = Duration.seconds(1)

  /// Who this process is, to the coordinator.
  let peer = PeerID.random()
  private let coordinator: Endpoint
  private let givesUpAfter: Duration?
  private let log: ServiceLog
  private let state = Mutex(State(patience: WorkerPatience(at: .now)))

  private struct State: Sendable {
    var thread: SocketThread?
    var isWelcomed = false
    var patience: WorkerPatience
    var dueAt = ContinuousClock.now
    var address: Endpoint?
  }

  /// - Parameter givesUpAfter: silence after which the coordinator is given up; nil: never.
  init(to coordinator: Endpoint, givesUpAfter: Duration?, log: @escaping ServiceLog) {
    self.coordinator = coordinator
    self.givesUpAfter = givesUpAfter
    self.log = log
  }

  /// - Parameter tick: the longest time between two looks at the clock.
  /// - Throws: `WireError` for an endpoint that can never be reached.
  func open(
    in context: Context, security: Security<ClientKeys>, tick: Duration,
    _ handle: @escaping @Sendable (Event) -> Void
  ) throws {
    let socket = try DealerSocket(
      in: context, as: peer, connectingTo: coordinator, for: .control, security: security)
    let thread = try SocketThread(named: "massl-control", owning: socket, outboxCapacity: 256, tick: tick) {
      [self] event, socket in
      if let address = socket.connected { state.withLock { $0.address = address } }
      take(event, handle)
    }
    state.withLock { $0.thread = thread }
  }

  /// Which of the coordinator's addresses answers; nil before one did.
  var address: Endpoint? { state.withLock { $0.address } }

  /// Sends what was said, and ends the thread.
  func close() {
    let thread = state.withLock { state in
      defer { state.thread = nil }
      return state.thread
    }
    thread?.stop()
  }

  /// From any thread; dropped where nothing is open, or too much waits.
  func say(_ message: Message, from sender: Sender) {
    _ = state.withLock { $0.thread }?.send(Outgoing(Envelope(sender: sender, message: message)))
  }

  func isWelcomed() { state.withLock { $0.isWelcomed = true } }

  /// The next hello is due at once.
  func isUnknown() {
    state.withLock { state in
      state.isWelcomed = false
      state.patience.begin(at: .now)
    }
  }

  private func take(_ event: SocketEvent, _ handle: (Event) -> Void) {
    switch event {
    case .received(.message(let incoming)):
      guard case .coordinator(let message) = incoming.envelope.message else { return }
      state.withLock { $0.patience.heard(at: .now) }
      handle(.received(message, from: incoming.envelope.sender))
      // One that does not know us is greeted at once.
      lookAtTheClock(handle)
    case .received(.malformed(_, let error, _)): log(.warning, "\(error)")
    // Whoever answers next may be another coordinator: as soon as it can be told, it hears of us.
    case .received(.disconnected):
      state.withLock { state in
        state.patience.begin(at: .now)
        state.dueAt = .now
      }
    case .undelivered(let outgoing, _):
      switch outgoing.envelope.message {
      case .worker(.hello), .shard(.hello): state.withLock { $0.patience.helloWasNotSent(at: .now) }
      default: state.withLock { $0.dueAt = .now }
      }
    case .tick: lookAtTheClock(handle)
    case .failed(let error): handle(.failed("\(error)"))
    }
  }

  private func lookAtTheClock(_ handle: (Event) -> Void) {
    let now = ContinuousClock.now
    let (complaint, silence, wantsHello, isDue) = state.withLock { state in
      let wantsHello = !state.isWelcomed && state.patience.saysHello(at: now, random: .random(in: 0..<1))
      let isDue = state.isWelcomed && now >= state.dueAt
      if isDue { state.dueAt = now + Self.signOfLifeEvery }
      return (state.patience.complaint(at: now), state.patience.silence(at: now), wantsHello, isDue)
    }
    if let complaint {
      log(
        .warning,
        "No answer from the coordinator at \(coordinator) for \(complaint.components.seconds) s; still trying.")
    }
    if let limit = givesUpAfter, silence >= limit { handle(.isSilent) }
    if wantsHello { handle(.wantsHello) }
    if isDue { handle(.isDue) }
  }
}
