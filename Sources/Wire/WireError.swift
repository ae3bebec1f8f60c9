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
  /// A peer whose routing id is none of massl's.
  case foreignPeer(routingID: String)
  /// Frames that are too many, too few or of the wrong size.
  case badFrames(peer: PeerID?, problem: String)
  /// The sender's key is not, or no longer, among the allowed ones.
  case keyNotAllowed(peer: PeerID?, key: String)

  // Endpoints and sockets.
  case badEndpoint(text: String, problem: String)
  case addressInUse(Endpoint)
  case cannotBind(Endpoint, reason: String)
  case cannotConnect(Endpoint, reason: String)
  /// The context was closed: the process is about to end.
  case closed
  /// libzmq refuses something that it should not; the call and its reason.
  case library(call: String, reason: String)

  // Keys.
  case keysRequired(Endpoint)
  case badKeyFile(path: String, problem: String)
  case keyFile(path: String, operation: String, reason: String)
}

extension WireError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .newerProtocol(let peer, let version):
      "\(Self.name(peer)) speaks protocol \(version), this massl speaks \(Limits.protocolVersion). "
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
    case .foreignPeer(let routingID):
      "A peer with the routing id \(routingID) is none of massl's; its message was dropped. "
        + "Check what else connects to this port."
    case .badFrames(let peer, let problem):
      "\(Self.name(peer)) sent a message with \(problem); it was dropped."
    case .keyNotAllowed(let peer, let key):
      "\(Self.name(peer)) uses the key \(key), which is not allowed; its message was dropped. "
        + "Add that key to the coordinator's file of allowed workers to let it in."
    case .badEndpoint(let text, let problem):
      "'\(text)' is no endpoint: \(problem). Write it as tcp://HOST:PORT, for example tcp://127.0.0.1:5570."
    case .addressInUse(let endpoint):
      "\(endpoint) is in use by another process. Stop that one (it may be a coordinator that still runs), "
        + "or give another port; port 0 takes any free one."
    case .cannotBind(let endpoint, let reason):
      "Cannot listen on \(endpoint): \(reason). Give an address of this machine, or tcp://0.0.0.0:PORT for all of them."
    case .cannotConnect(let endpoint, let reason):
      "Cannot connect to \(endpoint): \(reason). Give the address that the coordinator prints when it starts."
    case .closed:
      "The connection was closed, for this process is ending."
    case .library(let call, let reason):
      "libzmq's \(call) failed: \(reason)."
    case .keysRequired(let endpoint):
      "\(endpoint) can be reached from other machines, so keys are needed: make them with massl keygen and give them "
        + "to both sides, or give --insecure to do without encryption on a network that you trust."
    case .badKeyFile(let path, let problem):
      "\(path) is no key file: \(problem). Make one with massl keygen."
    case .keyFile(let path, let operation, let reason):
      "Cannot \(operation) the key file \(path): \(reason)."
    }
  }

  private static func name(_ peer: PeerID?) -> String { peer.map(\.description) ?? "The peer" }
}

extension PeerID: CustomStringConvertible {
  /// "peer 00c0ffee00c0ffee".
  public var description: String {
    let digits = String(rawValue, radix: 16)
    return "peer " + String(repeating: "0", count: 16 - digits.count) + digits
  }
}
