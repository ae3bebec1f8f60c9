import Numerics

/// One message with its sender: what the first frame of every ZeroMQ message holds.
///
/// `encoded()` and `init(decoding:from:)` are each other's inverse. Decoding checks every field against `WireLimits`, so
/// whoever holds an `Envelope` holds numbers within bounds; whether they make sense now is for the state machine.
public struct Envelope: Hashable, Sendable {
  public var sender: Sender
  public var message: Message
  /// A number of the asker's choosing: a bulk reply repeats its request's, so that the two find each other. 0 on the
  /// control socket.
  public var exchange: UInt64

  public init(sender: Sender, message: Message, exchange: UInt64 = 0) {
    self.sender = sender
    self.message = message
    self.exchange = exchange
  }
}

/// Whatever one process says to another.
public enum Message: Hashable, Sendable {
  case worker(WorkerMessage)
  case shard(ShardMessage)
  case coordinator(CoordinatorMessage)
  case bulkRequest(BulkRequest)
  case bulkReply(BulkReply)

  /// Whether a bulk frame follows the envelope.
  public var carriesBulk: Bool {
    switch self {
    case .bulkRequest(.push), .bulkRequest(.sum), .bulkReply(.weights), .bulkReply(.rows), .bulkReply(.picture),
      .bulkReply(.records), .bulkReply(.gradient), .bulkReply(.gradientHashes):
      true
    default: false
    }
  }

  /// What the bulk frame's size is a multiple of.
  package var bulkUnit: Int {
    switch self {
    case .bulkRequest(.push), .bulkRequest(.sum), .bulkReply(.weights), .bulkReply(.gradient):
      MemoryLayout<Float>.stride
    // Rows may be stored in half precision.
    case .bulkReply(.rows): 2
    default: 1
    }
  }
}
