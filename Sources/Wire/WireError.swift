import Messages
import Threads

/// Why bytes are no message, or a socket cannot be used: each a sentence that names peer, endpoint or key.
public enum WireError: Error, Equatable {
  // A peer's message.
  /// The peer speaks a newer protocol; its message was not read further.
  case newerProtocol(peer: PeerID?, version: UInt32)
  /// The bytes are no envelope: not protobuf, cut short, or too large once unpacked.
  case notAnEnvelope(peer: PeerID?, bytes: Int)
  /// A field holds what it must not.
  case badField(peer: PeerID?, field: String, problem: String)
  /// An envelope without a body, or with one that this version does not know.
  case noBody(peer: PeerID?)
  /// The id in the envelope is not the one of the connection.
  case otherPeer(connection: PeerID, claimed: PeerID)
  /// The peer speaks over another connection, which is alive.
  case otherConnection(peer: PeerID)
  /// A peer whose routing id is none of massl's.
  case foreignPeer(routingID: String)
  /// Frames that are too many, too few or of the wrong size.
  case badFrames(peer: PeerID?, problem: String)
  /// The sender's key is not, or no longer, among the allowed ones.
  case keyNotAllowed(peer: PeerID?, key: String)
  /// The id belongs to a peer with another key.
  case otherKey(peer: PeerID, key: String)
  /// A connection that was made to this endpoint was ended: it took more than its share of this process.
  case cutOff(Endpoint, CutOff)
  /// A connection to or from this endpoint ended before a message could be sent.
  case handshakeFailed(Endpoint, HandshakeFailure)

  // Endpoints and sockets.
  case addressInUse(Endpoint)
  case cannotBind(Endpoint, reason: String)
  case cannotConnect(Endpoint, reason: String)
  /// No name server or table knows the host.
  case unknownHost(Endpoint, reason: String)
  /// Every address of a name was tried in vain.
  case noConnection(Endpoint, tried: [Endpoint])
  /// The context was closed: the process is about to end.
  case closed
  /// libzmq refuses something that it should not; the call and its reason.
  case library(call: String, reason: String)

  // This process.
  /// The system gives fewer descriptors than `use` needs.
  case tooFewDescriptors(limit: Int, needed: Int, use: String)
  /// Of `needed` threads the system gave `possible`; `code` is its reason.
  case tooFewThreads(TooFewThreads)

  // Keys.
  case keysRequired(Endpoint)
  case badKeyFile(path: String, line: Int?, problem: String)
  /// A file of allowed keys; nil where no line is to blame.
  case badAllowedKeys(path: String, line: Int?, problem: String)
  /// A key file is never overwritten.
  case keyFileExists(path: String)
  case keyFile(path: String, operation: String, reason: String)
}

/// Why a connection was ended from here.
public enum CutOff: Hashable, Sendable {
  /// So many bytes of one message came, and it was not over.
  case endlessMessage(from: String, bytes: Int)
  /// So many bytes of memory are taken by its messages, which came faster than anybody could look at them.
  case backlog(from: String, bytes: Int)
  /// There are more connections than the process has room for.
  case tooMany(atMost: Int)
  /// More messages wait than can be looked at, from connections that have ended.
  case overrun
}

/// Why two processes could not begin to talk. libzmq tells neither side all of it.
public enum HandshakeFailure: Hashable, Sendable {
  // Seen by the coordinator.
  /// A worker's key is not among the allowed ones.
  case keyNotAllowed(PublicKey, from: String)
  /// A peer encrypts for a coordinator with another key.
  case otherCoordinatorKey
  case peerWithoutKeys
  case peerWantsKeys
  /// What connected is no massl, or hung up.
  case noHandshake

  // Seen by a worker.
  case ownKeyRefused(PublicKey)
  case coordinatorWantsKeys
  case coordinatorWithoutKeys
  /// The connection was closed without a reason; a coordinator with another key does so.
  case hungUp(expecting: PublicKey?)
}

extension WireError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .newerProtocol(let peer, let version):
      "\(Self.name(peer)) speaks protocol \(version), this massl speaks \(WireLimits.protocolVersion). "
        + "Update massl here, or run the same version on both sides."
    case .notAnEnvelope(let peer, let bytes):
      "\(Self.name(peer)) sent \(bytes) bytes that are no massl message; they were dropped. "
        + "Check that both sides run massl and that nothing else uses this port."
    case .badField(let peer, let field, let problem):
      "\(Self.name(peer)) sent a message whose field '\(field)' \(problem); it was dropped."
    case .noBody(let peer):
      "\(Self.name(peer)) sent a message without a body that this massl knows; it was dropped. "
        + "Run the same version on both sides."
    case .otherPeer(let connection, let claimed):
      "The connection of \(connection) brought a message that claims to be from \(claimed); it was dropped."
    case .otherConnection(let peer):
      "A second connection speaks as \(peer), which has one that is alive; its message was dropped. A worker that lost its "
        + "connection is let in within seconds; if this goes on, find out who else connects to this port."
    case .foreignPeer(let routingID):
      "A peer with the routing id \(routingID) is none of massl's; its message was dropped. "
        + "Check what else connects to this port."
    case .badFrames(let peer, let problem):
      "\(Self.name(peer)) sent a message with \(problem); it was dropped."
    case .keyNotAllowed(let peer, let key):
      "\(Self.name(peer)) uses the key \(key), which is not allowed; its message was dropped. "
        + "Add that key to the coordinator's file of allowed workers to let it in."
    case .otherKey(let peer, let key):
      "The key \(key) speaks as \(peer), whose key is another; its message was dropped. "
        + "Find out who has that key, and take it out of the coordinator's file of allowed workers."
    case .cutOff(let endpoint, .endlessMessage(let address, let bytes)):
      "\(address) was cut off at \(endpoint): \(bytes >> 20) MiB of one message came, which was not over. "
        + "Check what runs there: no massl sends such a message."
    case .cutOff(let endpoint, .backlog(let address, let bytes)):
      "\(address) was cut off at \(endpoint): \(bytes >> 20) MiB of its messages waited here, which come faster than they can "
        + "be looked at. Check what runs there: no massl sends so much unasked."
    case .cutOff(let endpoint, .tooMany(let atMost)):
      "\(endpoint) has \(atMost) connections, as many as this process has room for: newcomers are turned away. "
        + "Raise the limit of open files (ulimit -n), or find out who connects."
    case .cutOff(let endpoint, .overrun):
      "\(endpoint) is overrun by connections that leave messages and end: newcomers have to wait until these are gone. "
        + "Find out who connects; with keys nobody else can."
    case .handshakeFailed(let endpoint, let failure): Self.sentence(for: failure, at: endpoint)
    case .addressInUse(let endpoint):
      "\(endpoint) is in use by another process. Stop that one (it may be a coordinator that still runs), "
        + "or give another port; port 0 takes any free one."
    case .cannotBind(let endpoint, let reason):
      "Cannot listen on \(endpoint): \(reason). Give an address of this machine, or tcp://0.0.0.0:PORT for all of them."
    case .cannotConnect(let endpoint, let reason):
      "Cannot connect to \(endpoint): \(reason). Give the address that the coordinator prints when it starts."
    case .unknownHost(let endpoint, let reason):
      "The host '\(endpoint.host)' is unknown: \(reason). Check how it is spelled, or give its address instead."
    case .noConnection(let endpoint, let tried):
      "\(endpoint) takes no connection: tried \(tried.map(\.description).joined(separator: " and ")). Check that the "
        + "coordinator runs, that it listens at one of these, and that a firewall lets its port and the one above it "
        + "through."
    case .closed:
      "The connection was closed, for this process is ending."
    case .library(let call, let reason):
      "libzmq's \(call) failed: \(reason)."
    case .tooFewDescriptors(let limit, let needed, let use):
      "\(use) needs \(needed) open files and connections, and this process may have \(limit). "
        + "Raise the limit: ulimit -n \(needed), or more where many connect."
    case .tooFewThreads(let error): error.description
    case .keysRequired(let endpoint):
      "\(endpoint) can be reached from other machines, so keys are needed: make them with massl keygen and give them "
        + "to both sides, or give --insecure to do without encryption on a network that you trust."
    case .badKeyFile(let path, let line, let problem):
      "\(Self.place(path, line)): \(problem). Make a key file with massl keygen --out FILE."
    case .badAllowedKeys(let path, let line, let problem):
      "\(Self.place(path, line)): \(problem). Write one worker's public key a line, 64 hexadecimal digits, "
        + "then its name if you like."
    case .keyFileExists(let path):
      "\(path) is there already, and a key is never overwritten. Give another name, or move that file away."
    case .keyFile(let path, let operation, let reason):
      "Cannot \(operation) the key file \(path): \(reason)."
    }
  }

  private static func place(_ path: String, _ line: Int?) -> String { line.map { "\(path):\($0)" } ?? path }

  private static func sentence(for failure: HandshakeFailure, at endpoint: Endpoint) -> String {
    switch failure {
    case .keyNotAllowed(let key, let address):
      "A peer at \(address) with the key \(key) was refused at \(endpoint): the key is not allowed. "
        + "Add it to the file of allowed keys of who listens there to let it in."
    case .otherCoordinatorKey:
      "A worker was refused at \(endpoint): it expects a coordinator with another key. "
        + "Give it this coordinator's public key."
    case .peerWithoutKeys:
      "A peer was refused at \(endpoint): it has no keys. Give the worker a key file and this coordinator's public key."
    case .peerWantsKeys:
      "A peer was refused at \(endpoint): it has keys, and this coordinator does without. "
        + "Give keys to both sides, or to neither."
    case .noHandshake:
      "What connected to \(endpoint) hung up or sent what no massl sends. Check what else uses this port."
    case .ownKeyRefused(let key):
      "The coordinator at \(endpoint) does not allow this process's key. "
        + "Add \(key) to the coordinator's file of allowed workers."
    case .coordinatorWantsKeys:
      "The coordinator at \(endpoint) wants a key. Give --key with this process's key file (massl keygen makes one), and "
        + "--coordinator-key with the coordinator's public key; its file of allowed workers needs this one's."
    case .coordinatorWithoutKeys:
      "What listens at \(endpoint) has no keys, but this process wants them. "
        + "Give keys to both sides, or to neither."
    case .hungUp(nil):
      "What listens at \(endpoint) hung up at once. Check that it is a massl coordinator."
    case .hungUp(let key?):
      "What listens at \(endpoint) hung up at once. Check that it is a massl coordinator, and that its "
        + "public key is \(key)."
    }
  }

  private static func name(_ peer: PeerID?) -> String { peer.map(\.description) ?? "The peer" }
}
