import Messages
import Services
import TestSupport
import Testing
import Wire

@Suite("Answers on their way out of a bulk socket") struct FramedAnswersTests {
  /// Else all others wait while each of its requests is answered.
  @Test(.timeLimit(.minutes(10))) func whatAPeerThatIsGoneAskedForIsForgotten() throws {
    let context = try Context()
    let router = try RouterSocket(
      in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback))
    let sender = Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: PeerID(rawValue: 7))
    func envelope(_ message: Message) -> Envelope { Envelope(sender: sender, message: message, exchange: 1) }
    var dealer: DealerSocket? = try DealerSocket(
      in: context, as: sender.peer, connectingTo: router.endpoint, for: .bulk, security: .none(.loopback))
    let question = Outgoing(envelope(.bulkRequest(.holders(first: 0, count: 1))))
    #expect(try dealer?.send(question, timeout: .seconds(20)) == .sent)
    var asked: Incoming?
    _ = try eventually(within: 20) {
      if case .message(let incoming)? = try router.receive(timeout: .milliseconds(100)) { asked = incoming }
      return asked != nil
    }
    let request = try #require(asked)
    var answers = BoundedReplies { _, _ in }
    for _ in 0..<100 { _ = answers.add(request) }

    dealer = nil
    let reply = Outgoing(envelope(.bulkReply(.unavailable(reason: "nothing"))), to: sender.peer)
    let isGone = try eventually(within: 20) {
      _ = try router.receive(timeout: .zero)
      return try router.send(reply) == .unreachable
    }
    #expect(isGone)
    let first = answers.next(on: router)
    answers.send(reply, try #require(first?.frame), on: router)
    let second = answers.next(on: router)
    #expect(second == nil)
  }
}
