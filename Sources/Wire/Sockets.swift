internal import CZeroMQ
import Glibc
import Messages
import Numerics

/// A message that came.
public struct Incoming: Sendable {
  /// Who sent it: on a router, who may speak over the connection that brought it.
  public var peer: PeerID
  public var envelope: Envelope
  /// Present exactly when `envelope.message.carriesBulk`.
  public var bulk: BulkFrame?
  /// Who sent it proved to have it; nil without keys.
  let key: PublicKey?
  /// Of who sent it, in numbers.
  let address: String?

  /// Where it came from: worked out where it is asked for, which is not with every chunk of a payload.
  public var origin: Origin { key.map { .key($0) } ?? Origin(address: address ?? "") }
}

/// What a socket received.
public enum Received: Sendable {
  case message(Incoming)
  /// Bytes that are no message of this protocol, from a peer that may not even be one. They were dropped; the
  /// connection stands.
  /// - exchange: as the message says, for an answer; 0 if it does not.
  case malformed(peer: PeerID?, WireError, exchange: UInt64 = 0)
  /// The connection that a peer last spoke over ended, and it has no other: told again after each message that was still
  /// on its way. On a dealer its one connection ended, which is nobody's; libzmq makes another.
  case disconnected(PeerID?)
}

/// A message to be sent.
public struct Outgoing: Sendable {
  public var envelope: Envelope
  public var bulk: Bulk?
  /// On a router, to whom; a dealer has only one peer.
  public var peer: PeerID?

  public init(_ envelope: Envelope, bulk: Bulk? = nil, to peer: PeerID? = nil) {
    self.envelope = envelope
    self.bulk = bulk
    self.peer = peer
  }
}

/// What `SocketThread` needs of a socket.
public protocol MessageSocket: AnyObject, Sendable {
  /// Waits for a message.
  ///
  /// What a peer sends never makes it throw: it comes as `.malformed`.
  /// - Parameters:
  ///   - timeout: nil waits for ever.
  ///   - waker: ends the wait early.
  /// - Returns: nil when the time is up or the waker woke.
  /// - Throws: `WireError.closed` after `Context.close()`.
  func receive(timeout: Duration?, waker: Waker?) throws(WireError) -> Received?
  /// Hands a message to libzmq, whole or not at all, waiting for room at most `timeout`.
  func send(_ outgoing: Outgoing, timeout: Duration) throws(WireError) -> SendOutcome
}

extension MessageSocket {
  public func receive(timeout: Duration?) throws(WireError) -> Received? {
    try receive(timeout: timeout, waker: nil)
  }

  /// Without waiting.
  public func send(_ outgoing: Outgoing) throws(WireError) -> SendOutcome { try send(outgoing, timeout: .zero) }
}

/// What a socket is for: decides how many messages may wait for a peer.
public enum Traffic: Sendable {
  case control
  case bulk

  var messagesQueued: Int {
    switch self {
    case .control: WireLimits.controlMessagesQueued
    case .bulk: WireLimits.bulkMessagesQueued
    }
  }

  /// A connection ends when what was sent is not acknowledged for so long.
  var unacknowledged: Duration {
    switch self {
    case .control: .seconds(8)
    case .bulk: .seconds(30)
    }
  }
}

// MARK: - Router

/// The coordinator's end: listens, and talks to any number of peers.
///
/// `@unchecked Sendable`: made by one thread, then owned by the one that sends and receives; `SocketHandle` checks that.
public final class RouterSocket: MessageSocket, @unchecked Sendable {
  /// Messages thrown away between two waits, which take longer than a message does.
  private static let thrownAwayAtOnce = 256

  private let handle: SocketHandle
  private let monitor: SocketMonitor
  private var complaints = Complaints()
  private var connections = ConnectionTable()
  private var bounds: ConnectionBounds
  /// Whose end is to be told.
  private var gone: [PeerID] = []
  private let authenticator: KeyAuthenticator?
  /// Where it listens, with the port that the system chose.
  public let endpoint: Endpoint
  /// Why it does not listen at some of the addresses that its name has: to be told.
  public let unbound: [WireError]

  /// Of a name it takes all addresses that this machine has.
  /// - Parameters:
  ///   - connectionsAtMost: newcomers beyond are turned away.
  ///   - payloadBytes: how much peers may push at a time, all together.
  /// - Throws: `addressInUse`, `cannotBind`, `unknownHost`.
  public init(
    in context: Context, listeningOn endpoint: Endpoint, for traffic: Traffic, security: Security<ServerKeys>,
    connectionsAtMost: Int = .max, payloadBytes: Int = 0
  ) throws(WireError) {
    bounds = ConnectionBounds(atMost: connectionsAtMost, backlogAtMost: WireLimits.backlogBytes + payloadBytes)
    handle = try SocketHandle(ZMQ_ROUTER, in: context, for: traffic)
    // Without it a message to a peer that left vanishes without a word.
    try handle.set(ZMQ_ROUTER_MANDATORY, Int32(1))
    try handle.setSendBuffer(for: endpoint, traffic)
    switch security {
    case .none: authenticator = nil
    case .curve(let keys):
      authenticator = try context.authenticate(with: keys.allowed)
      try handle.set(ZMQ_CURVE_SERVER, Int32(1))
      try handle.set(ZMQ_CURVE_SECRETKEY, bytes: keys.own.secret)
      handle.countsSeals()
    }
    monitor = try SocketMonitor(of: handle)
    (self.endpoint, unbound) = try Self.bind(handle, to: endpoint)
  }

  /// Listens at all addresses of a name, with one port.
  /// - Returns: where it listens, and why not at some of the addresses, where it does at others.
  private static func bind(
    _ handle: SocketHandle, to endpoint: Endpoint
  ) throws(WireError) -> (Endpoint, unbound: [WireError]) {
    var bound: Endpoint?
    var unbound: [WireError] = []
    for address in try endpoint.addresses() {
      // What the system chose for the first address is to be the others' too.
      let wanted = address.withPort(bound?.port ?? endpoint.port)
      let port = wanted.port == 0 ? "*" : "\(wanted.port)"
      try handle.setFamily(for: wanted)
      if zmq_bind(handle.raw, wanted.withPort(0).description.dropLast() + port) == 0 {
        if bound == nil { bound = endpoint.withPort(try boundPort(of: handle)) }
        continue
      }
      let code = zmq_errno()
      // Whoever has the port at one of the addresses would be taken for this process.
      if code == EADDRINUSE, endpoint.port != 0 { throw .addressInUse(wanted) }
      unbound.append(.cannotBind(wanted, reason: WireError.reason(of: code)))
    }
    guard let bound else { throw unbound.first ?? .cannotBind(endpoint, reason: "it has no address") }
    return (bound, unbound)
  }

  private static func boundPort(of handle: SocketHandle) throws(WireError) -> Int {
    var text = [CChar](repeating: 0, count: 256)
    var count = text.count
    guard zmq_getsockopt(handle.raw, ZMQ_LAST_ENDPOINT, &text, &count) == 0 else {
      throw .lastError(in: "zmq_getsockopt(ZMQ_LAST_ENDPOINT)")
    }
    let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
      throw .library(call: "zmq_getsockopt(ZMQ_LAST_ENDPOINT)", reason: "'\(address)' has no port")
    }
    return port
  }

  public func receive(timeout: Duration?, waker: Waker?) throws(WireError) -> Received? {
    let deadline = timeout.map { ContinuousClock.now + $0 }
    while true {
      if let peer = gone.popLast() { return .disconnected(peer) }
      let until = min(deadline ?? bounds.nextLook, bounds.nextLook)
      let ready = try handle.wait(until: until, waker: waker, monitor: monitor)
      if ready.event { while let (event, _) = monitor.next() { note(event) } }
      for cut in lookedAt(&bounds, ready) { complaints.add(.cutOff(endpoint, cut)) }
      if let peer = gone.popLast() { return .disconnected(peer) }
      if let complaint = complaints.next() { return .malformed(peer: nil, complaint) }
      if ready.message {
        if let message = try nextToRead() {
          let received = check(message)
          bounds.delivered(message, isKnown: connections.speaker(over: message.descriptor) != nil)
          if let received { return received }
        }
      } else if ready.isWoken {
        return nil
      }
      if let deadline, deadline <= .now { return nil }
    }
  }

  /// The next message that is not to be thrown away.
  /// - Returns: nil if there is none, or not among so many that it is time to look at other things.
  private func nextToRead() throws(WireError) -> SocketHandle.Frames? {
    for _ in 0..<Self.thrownAwayAtOnce {
      guard let message = try handle.receiveFrames(atMost: 3) else { return nil }
      let stands = connections.standing[message.descriptor] != nil
      guard bounds.throwsAway(message.descriptor, stands: stands) else { return message }
    }
    return nil
  }

  /// Ends a peer's connection, and with it all that waits for it here; it may come back.
  /// - Returns: where it was connected from; nil if it is not connected.
  public func hangUp(on peer: PeerID) -> String? {
    handle.checkOwner()
    while let (event, _) = monitor.next() { note(event) }
    return connections.descriptor(of: peer).flatMap { bounds.hangUp(on: $0) }
  }

  /// Where a peer is connected from; nil if it is not.
  public func address(of peer: PeerID) -> String? {
    connections.descriptor(of: peer).flatMap { bounds.address(of: $0) }
  }

  private func note(_ event: SocketMonitor.Event) {
    switch event {
    case .handshakeBroken: complaints.add(.handshakeFailed(endpoint, .noHandshake))
    case .handshakeRefused(ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC):
      complaints.add(.handshakeFailed(endpoint, .otherCoordinatorKey))
    case .handshakeRefused(ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH):
      complaints.add(.handshakeFailed(endpoint, authenticator == nil ? .peerWantsKeys : .peerWithoutKeys))
    case .handshakeRefused: complaints.add(.handshakeFailed(endpoint, .noHandshake))
    case .keyRefused:
      for failure in authenticator?.takeRefused() ?? [] { complaints.add(.handshakeFailed(endpoint, failure)) }
    case .listening(let descriptor): bounds.listens(at: descriptor)
    case .connected(let descriptor):
      isGone(connections.begin(descriptor))
      if let cut = bounds.opened(descriptor) { complaints.add(.cutOff(endpoint, cut)) }
    case .disconnected(let descriptor):
      isGone(connections.end(descriptor))
      bounds.closed(descriptor)
    case .ready, .connecting, .retrying: break
    }
  }

  /// Has it told, if there is anybody.
  private func isGone(_ peer: PeerID?) { if let peer { gone.append(peer) } }

  /// Who sent it before what was sent.
  /// - Returns: nil when it was dropped without a word, for the same was said lately.
  private func check(_ message: SocketHandle.Frames) -> Received? {
    let id = message.frames[0].bytes
    // A connection may name its peer from the start; else its first message does.
    let named = PeerID(routingID: id)
    guard named != nil || Self.isChosenByRouter(id) else {
      return complain(.foreignPeer(routingID: Hexadecimal.text(of: Array(id.prefix(64)))))
    }
    isGone(connections.receive(over: message.descriptor, id))
    let known = connections.speaker(over: message.descriptor) ?? named
    var key: PublicKey?
    if let authenticator {
      let text = message.frames.last?.userID ?? "(none)"
      key = PublicKey(text)
      // ZAP asks only when a peer connects; a key that was taken back since is found out here. Whose id it is not is
      // not blamed for what is said in its name.
      guard let key, authenticator.allowed.contains(key) else {
        let owner = known.flatMap { peer in
          key.flatMap { key in authenticator.peers.withLock { $0.isOwned(peer, by: key) } ? peer : nil }
        }
        let error = WireError.keyNotAllowed(peer: known, key: text)
        return owner == nil ? complain(error) : .malformed(peer: owner, error)
      }
    }
    if let known, let refused = refuse(known, over: message.descriptor, key) { return refused.received }
    let peer = known ?? connections.stranger(over: message.descriptor)
    let result = received(
      Array(message.frames.dropFirst()), of: message.count - 1, peer: peer, connection: known, key: key)
    guard case .message(let incoming) = result else { return result }
    if known == nil, let refused = refuse(incoming.peer, over: message.descriptor, key) { return refused.received }
    // Left from a connection that has ended: its peer is gone, whatever it says.
    if connections.routingID(of: incoming.peer) == nil { isGone(incoming.peer) }
    return result
  }

  /// That a peer may not speak over a connection, and what is said of it, if anything.
  private struct Refused { let received: Received? }

  /// - Parameter key: the connection's; nil where there are none.
  private func refuse(_ peer: PeerID, over descriptor: Int32, _ key: PublicKey?) -> Refused? {
    if let authenticator, let key, !authenticator.peers.withLock({ $0.claim(peer, with: key) }) {
      return Refused(received: complain(.otherKey(peer: peer, key: "\(key)")))
    }
    switch connections.claim(peer, over: descriptor, isHeard: isAlive) {
    case .granted: return nil
    case .late: return Refused(received: nil)
    case .taken: return Refused(received: complain(.otherConnection(peer: peer)))
    case .otherPeer(let other):
      return Refused(received: .malformed(peer: other, .otherPeer(connection: other, claimed: peer)))
    }
  }

  private func complain(_ error: WireError) -> Received? {
    complaints.add(error)
    return complaints.next().map { .malformed(peer: nil, $0) }
  }

  public func send(_ outgoing: Outgoing, timeout: Duration) throws(WireError) -> SendOutcome {
    guard let peer = outgoing.peer else { fatalError("a router needs to know whom to send to") }
    guard let id = connections.routingID(of: peer) else { return .unreachable }
    return try handle.send([OutgoingFrame(bytes: id)] + frames(of: outgoing), timeout: timeout)
  }

  /// Of a connection that gave no routing id: a zero and four bytes.
  private static func isChosenByRouter(_ id: [UInt8]) -> Bool { id.count == 5 && id[0] == 0 }
}

// MARK: - Both

/// Once a wait is over, and before what it found is received.
/// - Returns: who was cut off for what came of it.
func lookedAt(_ bounds: inout ConnectionBounds, _ ready: SocketHandle.Readiness) -> [CutOff] {
  if !ready.message { bounds.wereEmptied() }
  return bounds.look()
}

/// Envelope and bulk, as frames.
func frames(of outgoing: Outgoing) -> [OutgoingFrame] {
  invariant(
    outgoing.envelope.message.carriesBulk == (outgoing.bulk != nil), "a bulk frame where none belongs, or none")
  return [OutgoingFrame(outgoing.envelope)] + (outgoing.bulk.map { [OutgoingFrame($0)] } ?? [])
}

/// The frames after the routing id, as what they mean.
/// - Parameters:
///   - count: how many came; `frames` holds the first ones.
///   - key: who sent it proved to have it.
func received(
  _ frames: [BulkFrame], of count: Int, peer: PeerID?, connection: PeerID?, key: PublicKey? = nil
) -> Received {
  var exchange: UInt64 = 0
  func malformed(_ problem: String) -> Received {
    .malformed(peer: peer, .badFrames(peer: peer, problem: problem), exchange: exchange)
  }
  guard let first = frames.first else { return malformed("no envelope") }
  let envelope: Envelope
  do throws(WireError) {
    envelope = try first.decoded(from: connection)
  } catch {
    return .malformed(peer: peer, error, exchange: first.withBytes { Envelope.exchange(in: $0) })
  }
  exchange = envelope.exchange
  guard count <= 2 else { return malformed("\(count) frames, more than an envelope and one of bulk") }
  let bulk = count == 2 ? frames[1] : nil
  switch (bulk, envelope.message.carriesBulk) {
  case (nil, true): return malformed("no bulk frame where one belongs")
  case (.some, false): return malformed("a bulk frame where none belongs")
  case (nil, false): break
  case (let bulk?, true):
    guard bulk.count > 0, bulk.count <= WireLimits.bulkBytes else {
      return malformed("a bulk frame of \(bulk.count) bytes, not 1 to \(WireLimits.bulkBytes)")
    }
    guard bulk.count % envelope.message.bulkUnit == 0 else {
      return malformed("a bulk frame of \(bulk.count) bytes, no multiple of \(envelope.message.bulkUnit)")
    }
  }
  return .message(
    Incoming(peer: envelope.sender.peer, envelope: envelope, bulk: bulk, key: key, address: first.peerAddress))
}

extension BulkFrame {
  fileprivate func decoded(from peer: PeerID?) throws(WireError) -> Envelope {
    // withBytes rethrows untyped.
    let result: Result<Envelope, WireError> = withBytes { bytes in
      do throws(WireError) {
        return .success(try Envelope(decoding: bytes, from: peer))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}

extension PeerID {
  /// From the routing id of a connection that names its peer: 'M', then eight bytes, for libzmq keeps ids that begin with
  /// zero for itself.
  init?(routingID: [UInt8]) {
    guard routingID.count == 9, routingID[0] == UInt8(ascii: "M") else { return nil }
    self.init(rawValue: routingID.dropFirst().reduce(0) { $0 << 8 | UInt64($1) })
  }

  /// An id that nobody else has.
  public static func random() -> PeerID { PeerID(rawValue: .random(in: 0...UInt64.max)) }
}
