internal import CZeroMQ
import Glibc
import Messages
import Numerics

/// A worker's end: connects to one coordinator, and by itself again whenever the connection is lost.
///
/// A name's addresses are tried in turn, one connection at a time, until one answers, and are asked for again after each
/// round. Messages are taken only while a connection stands, so that none of an older one arrives late.
///
/// `@unchecked Sendable`: made by one thread, then owned by the one that sends and receives; `SocketHandle` checks that.
public final class DealerSocket: MessageSocket, @unchecked Sendable {
  /// How long after a refusal to ask again: somebody may have let the key in meanwhile.
  private static let patience = Duration.seconds(1)
  /// Between looks whether a name server has answered.
  private static let lookupPause = Duration.milliseconds(10)
  /// For a connection to be made; then the next of several addresses has its turn. The system would go on for minutes,
  /// with pauses that double: longer than a cable was out.
  private static let connectMilliseconds: Int32 = 2000
  /// For what listens there to say whether it wants keys.
  private static let greetingPatience = Duration.milliseconds(500)

  private let handle: SocketHandle
  private let monitor: SocketMonitor
  private var complaints = Complaints()
  private var bounds = ConnectionBounds(atMost: .max, backlogAtMost: WireLimits.backlogBytes)
  private let keys: ClientKeys?
  /// When to connect anew, unless libzmq says before that it does so by itself.
  private var reconnectAt: ContinuousClock.Instant?
  /// Of a name whose addresses are asked for.
  private var lookup: HostLookup?
  /// Nil until a name's addresses are known.
  private var round: AddressRound?
  /// The address that libzmq connects to, or is connected to.
  private var connecting: Endpoint?
  /// Whether the connection stood and broke: its address has not been tried in vain.
  private var isLost = false
  /// A connection broke, and that was not told yet.
  private var isLossUntold = false
  /// Tried first, if it is one of the name's.
  private let first: Endpoint?
  public let endpoint: Endpoint
  /// The address at the other end, while both sides know each other. To be asked for in the socket's thread.
  public private(set) var connected: Endpoint?

  /// Whether the endpoint's name has several addresses, so that one that refuses may not be the last word. In its thread.
  public var hasOtherAddresses: Bool { round.map { $0.addresses.count > 1 } ?? false }

  /// Begins to connect; the coordinator need not be there yet.
  /// - Parameter first: of a name's addresses the one to try first, for it answered before, at another port.
  /// - Throws: `cannotConnect` for an endpoint that can never be reached, such as port 0.
  public init(
    in context: Context, as peer: PeerID, connectingTo endpoint: Endpoint, first: Endpoint? = nil, for traffic: Traffic,
    security: Security<ClientKeys>
  ) throws(WireError) {
    guard endpoint.port != 0 else { throw .cannotConnect(endpoint, reason: "port 0 is no port to connect to") }
    guard endpoint.host != "*" else { throw .cannotConnect(endpoint, reason: "* is no host to connect to") }
    handle = try SocketHandle(ZMQ_DEALER, in: context, for: traffic)
    self.endpoint = endpoint
    self.first = first
    // No routing id: the router gives each connection its own, so that one which is made anew does not collide with what
    // is left of the one before. Who speaks is in the envelopes.
    // From a tenth of a second up to two: a thousand workers do not storm a coordinator that restarts.
    try handle.set(ZMQ_RECONNECT_IVL, Int32(100))
    try handle.set(ZMQ_RECONNECT_IVL_MAX, Int32(2000))
    try handle.set(ZMQ_IMMEDIATE, Int32(1))
    try handle.setSendBuffer(for: endpoint, traffic)
    switch security {
    case .none: keys = nil
    case .curve(let keys):
      self.keys = keys
      try handle.set(ZMQ_CURVE_SERVERKEY, bytes: keys.server.bytes)
      try handle.set(ZMQ_CURVE_PUBLICKEY, bytes: keys.own.publicKey.bytes)
      try handle.set(ZMQ_CURVE_SECRETKEY, bytes: keys.own.secret)
      handle.countsSeals()
    }
    monitor = try SocketMonitor(of: handle)
    guard !endpoint.isName else {
      lookup = HostLookup(of: endpoint)
      return
    }
    round = AddressRound([endpoint])
    guard try connect(to: endpoint) else { throw .cannotConnect(endpoint, reason: WireError.reason(of: zmq_errno())) }
  }

  public func receive(timeout: Duration?, waker: Waker?) throws(WireError) -> Received? {
    let deadline = timeout.map { ContinuousClock.now + $0 }
    while true {
      try look()
      if let complaint = complaints.next() { return .malformed(peer: nil, complaint) }
      let answerAt = lookup == nil ? nil : ContinuousClock.now + Self.lookupPause
      let until = [deadline, reconnectAt, answerAt, bounds.nextLook].compactMap(\.self).min()
      let ready = try handle.wait(until: until, waker: waker, monitor: monitor)
      if ready.event { while let (event, address) = monitor.next() { try note(event, address) } }
      for cut in lookedAt(&bounds, ready) { complaints.add(.cutOff(endpoint, cut)) }
      if let time = reconnectAt, time <= .now { try reconnect() }
      if isLossUntold {
        isLossUntold = false
        return .disconnected(nil)
      }
      if let complaint = complaints.next() { return .malformed(peer: nil, complaint) }
      if ready.message {
        guard let message = try handle.receiveFrames(atMost: 2) else { continue }
        bounds.delivered(message, isKnown: true)
        return received(message.frames, of: message.count, peer: nil, connection: nil)
      }
      if ready.isWoken { return nil }
      if let deadline, deadline <= .now { return nil }
    }
  }

  private func note(_ event: SocketMonitor.Event, _ address: String) throws(WireError) {
    switch event {
    case .connected(let descriptor): _ = bounds.opened(descriptor)
    case .disconnected(let descriptor): bounds.closed(descriptor)
    default: break
    }
    // What is said late of an address that had its turn is of no interest.
    guard let current = connecting, !endpoint.isName || address == current.description else { return }
    switch event {
    case .connected, .connecting: reconnectAt = nil
    case .ready:
      reconnectAt = nil
      connected = current
      round?.succeeded()
    case .retrying:
      reconnectAt = nil
      if endpoint.isName, isLost {
        disconnect()
        reconnectAt = .now + AddressRound.shortestPause
      } else if endpoint.isName {
        try tryNext()
      }
    // After a refusal or a broken rule libzmq gives the connection up for good; else `retrying` follows at once.
    case .disconnected:
      isLossUntold = isLossUntold || connected != nil
      isLost = connected != nil
      connected = nil
      reconnectAt = .now + Self.patience
    case .handshakeBroken: try refused(at: current, nil)
    case .handshakeRefused(ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH):
      try refused(at: current, keys == nil ? .coordinatorWantsKeys : .coordinatorWithoutKeys)
    case .handshakeRefused: try refused(at: current, nil)
    case .keyRefused: if let keys { try refused(at: current, .ownKeyRefused(keys.own.publicKey)) }
    case .listening: break
    }
  }

  /// What listens there is not for us. The other addresses of its name may be.
  /// - Parameter failure: nil where libzmq knows none.
  private func refused(at address: Endpoint, _ failure: HandshakeFailure?) throws(WireError) {
    complaints.add(.handshakeFailed(endpoint, failure ?? .hungUp(expecting: keys?.server))) { [keys, endpoint] error in
      guard failure == nil else { return error }
      return switch (Greeting(of: address, within: Self.greetingPatience), keys) {
      case (.keys, nil): .handshakeFailed(endpoint, .coordinatorWantsKeys)
      case (.noKeys, .some): .handshakeFailed(endpoint, .coordinatorWithoutKeys)
      default: error
      }
    }
    if hasOtherAddresses { try tryNext() }
  }

  public func send(_ outgoing: Outgoing, timeout: Duration) throws(WireError) -> SendOutcome {
    try handle.send(frames(of: outgoing), timeout: timeout)
  }
}

// MARK: - Addresses

extension DealerSocket {
  /// Sees whether a name server has answered.
  private func look() throws(WireError) {
    guard let answer = lookup?.answer else { return }
    lookup = nil
    switch answer {
    case .success(let addresses):
      round = round ?? AddressRound(addresses)
      round?.begin(addresses, first: first?.withPort(endpoint.port))
    case .failure(let error): complaints.add(error)
    }
    // What the name meant before it may mean still.
    if let current = round?.current { _ = try connect(to: current) } else { reconnectAt = .now + Self.patience }
  }

  /// The address had its turn.
  private func tryNext() throws(WireError) {
    disconnect()
    if let pause = round?.failed() {
      complaints.add(.noConnection(endpoint, tried: round?.addresses ?? []))
      reconnectAt = .now + pause
    } else if let current = round?.current {
      _ = try connect(to: current)
    }
  }

  private func reconnect() throws(WireError) {
    reconnectAt = nil
    disconnect()
    if endpoint.isName {
      lookup = HostLookup(of: endpoint)
    } else if try !connect(to: endpoint) {
      throw .lastError(in: "zmq_connect")
    }
  }

  private func disconnect() {
    // Fails when libzmq has forgotten the endpoint already, which is as good.
    if let connecting { zmq_disconnect(handle.raw, connecting.description) }
    (connecting, connected, isLost) = (nil, nil, false)
  }

  private func connect(to address: Endpoint) throws(WireError) -> Bool {
    connecting = address
    try handle.setFamily(for: address)
    try handle.set(ZMQ_CONNECT_TIMEOUT, Self.connectMilliseconds)
    return zmq_connect(handle.raw, address.description) == 0
  }
}
