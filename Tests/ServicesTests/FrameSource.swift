import Messages
import Numerics
import TestSupport
import Testing
import Wire

/// Frames as they come off a socket: there is no other way to one.
final class FrameSource {
  private let router: RouterSocket
  private let dealer: DealerSocket
  private let sender: Sender
  private let context: Context

  init() throws {
    context = try Context()
    router = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback))
    sender = Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: .random())
    dealer = try DealerSocket(
      in: context, as: sender.peer, connectingTo: router.endpoint, for: .bulk, security: .none(.loopback))
  }

  func frame(_ floats: [Float]) throws -> BulkFrame {
    let envelope = Envelope(sender: sender, message: .bulkRequest(.push(lease: LeaseID(1), offset: 0)))
    let outgoing = Outgoing(envelope, bulk: .floats(FloatBuffer(floats), 0..<floats.count))
    #expect(try dealer.send(outgoing, timeout: .seconds(20)) == .sent)
    var frame: BulkFrame?
    _ = try eventually(within: 20) {
      if case .message(let incoming)? = try router.receive(timeout: .milliseconds(100)) { frame = incoming.bulk }
      return frame != nil
    }
    return try #require(frame)
  }
}
