import Messages
import Wire

/// Answers on bulk sockets, whoever gives them.
extension Outgoing {
  init(_ reply: BulkReply, bulk: Bulk? = nil, to request: Incoming, from sender: Sender) {
    self.init(
      Envelope(sender: sender, message: .bulkReply(reply), exchange: request.envelope.exchange), bulk: bulk,
      to: request.peer)
  }

  /// Why there is no answer.
  /// - Parameter exchange: the request's, of which no more may be readable.
  init(unavailable reason: String, exchange: UInt64, to peer: PeerID, from sender: Sender) {
    self.init(
      Envelope(sender: sender, message: .bulkReply(.unavailable(reason: reason)), exchange: exchange), to: peer)
  }
}
