import Messages

/// Who speaks over a router's connections.
///
/// libzmq names a connection twice: its events say the descriptor, which the system gives to another connection once this
/// one has ended; its messages say that and a routing id, which no two standing connections share. Events overtake
/// messages: what waits in libzmq's queue when its connection ends is taken out later.
///
/// A peer's id belongs to the connection over which it spoke first, as long as that stands and is heard. Over another one
/// nobody speaks under it, and to no other one goes what is sent to it.
package struct ConnectionTable: Sendable {
  package typealias RoutingID = [UInt8]

  /// A connection that stands.
  package struct Connection: Sendable {
    /// Of the last message that came over it; nil before the first one.
    package fileprivate(set) var routingID: RoutingID?
    /// Whose messages come over it; nil before the first one.
    package fileprivate(set) var peer: PeerID?
    /// It said so itself. Until then it has an id for its bad messages alone.
    fileprivate var isNamed = false
  }

  /// What became of a wish to speak for a peer.
  package enum Claim: Equatable, Sendable {
    case granted
    /// The peer speaks over another connection, which is heard.
    case taken
    /// What came is left from a connection that ended, and the peer has another one by now.
    case late
    /// Over this connection another peer speaks.
    case otherPeer(PeerID)
  }

  /// Those that stand, by descriptor; also those whose handshake is not over.
  package private(set) var standing: [Int32: Connection] = [:]
  /// The connection that a peer speaks over; it stands.
  private var descriptors: [PeerID: Int32] = [:]

  package init() {}

  /// A connection begins.
  /// - Returns: who is gone with the one that had its descriptor, should its end not have been told.
  package mutating func begin(_ descriptor: Int32) -> PeerID? {
    let gone = end(descriptor)
    standing[descriptor] = Connection()
    return gone
  }

  /// A connection ended.
  /// - Returns: who spoke over it.
  package mutating func end(_ descriptor: Int32) -> PeerID? {
    standing.removeValue(forKey: descriptor).flatMap { release($0, descriptor) }
  }

  /// A message came, whatever is in it.
  /// - Returns: who is gone with a connection whose end was not told.
  package mutating func receive(over descriptor: Int32, _ routingID: RoutingID) -> PeerID? {
    guard var connection = standing[descriptor] else { return nil }
    var gone: PeerID?
    // Another connection than before, or a late message of one before: then the next one sets it right.
    if let before = connection.routingID, before != routingID {
      gone = release(connection, descriptor)
      connection = Connection()
    }
    connection.routingID = routingID
    standing[descriptor] = connection
    return gone
  }

  /// Whose messages come over a connection; nil if it did not say, or has ended.
  package func speaker(over descriptor: Int32) -> PeerID? {
    standing[descriptor].flatMap { $0.isNamed ? $0.peer : nil }
  }

  /// An id for who speaks over a connection and did not say under which; nil if it has ended.
  package mutating func stranger(over descriptor: Int32) -> PeerID? {
    guard let connection = standing[descriptor] else { return nil }
    if let peer = connection.peer { return peer }
    let peer = PeerID.random()
    standing[descriptor]?.peer = peer
    descriptors[peer] = descriptor
    return peer
  }

  /// Lets a peer speak over a connection, or says why it may not.
  /// - Parameter isHeard: whether the other end of a standing connection shows signs of life; asked where it decides.
  package mutating func claim(_ peer: PeerID, over descriptor: Int32, isHeard: (Int32) -> Bool) -> Claim {
    guard let connection = standing[descriptor] else { return descriptors[peer] == nil ? .granted : .late }
    if connection.isNamed, let other = connection.peer, other != peer { return .otherPeer(other) }
    if let owner = descriptors[peer], owner != descriptor, isHeard(owner) { return .taken }
    if let stranger = connection.peer, stranger != peer { descriptors[stranger] = nil }
    descriptors[peer] = descriptor
    standing[descriptor]?.peer = peer
    standing[descriptor]?.isNamed = true
    return .granted
  }

  /// The connection that a peer speaks over; nil if it is not connected.
  package func descriptor(of peer: PeerID) -> Int32? { descriptors[peer] }

  /// Whom to send to, to reach a peer; nil if it is not connected.
  package func routingID(of peer: PeerID) -> RoutingID? { descriptors[peer].flatMap { standing[$0]?.routingID } }

  private mutating func release(_ connection: Connection, _ descriptor: Int32) -> PeerID? {
    guard let peer = connection.peer, descriptors[peer] == descriptor else { return nil }
    descriptors[peer] = nil
    return peer
  }
}
