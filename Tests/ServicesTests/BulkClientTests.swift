import Glibc
import Messages
import Numerics
import Services
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

@Suite(.timeLimit(.minutes(10))) struct BulkClientPushesWholePayloads {
  /// What a coordinator that takes its time saw of a push: the offsets, in their order.
  private final class SlowCoordinator: Sendable {
    let offsets = Mutex<[Int]>([])
    let endpoint: Endpoint

    /// - Parameters:
    ///   - refusing: the offset of a chunk that is answered with `unavailable`.
    init(in context: Context, payload: Int, pause: UInt32, refusing: Int? = nil) throws {
      let router = try RouterSocket(
        in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback),
        payloadBytes: BulkClientPushesWholePayloads.chunks * WireLimits.bulkBytes)
      endpoint = router.endpoint
      startThread(named: "slow") { [self] in
        while let received = try? router.receive(timeout: .seconds(30)) {
          guard case .message(let incoming) = received,
            case .bulkRequest(.push(let lease, let offset)) = incoming.envelope.message
          else { continue }
          offsets.withLock { $0.append(offset) }
          usleep(pause)
          let end = offset + (incoming.bulk?.count ?? 0) / 4
          let reply: BulkReply? =
            offset == refusing ? .unavailable(reason: "no such lease") : end == payload ? .pushed(lease) : nil
          guard let reply else { continue }
          _ = try? router.send(
            Outgoing(
              Envelope(
                sender: incoming.envelope.sender, message: .bulkReply(reply), exchange: incoming.envelope.exchange),
              to: incoming.peer), timeout: .patience)
        }
      }
    }
  }

  private static let chunks = 160

  private func client(_ context: Context, _ endpoint: Endpoint) throws -> BulkClient {
    let sender = Sender(
      run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: PeerID(rawValue: 7))
    return try BulkClient(context: context, sender: sender, endpoint: endpoint, security: .none(.loopback))
  }

  @Test func aPayloadLargerThanAllQueuesArrivesChunkByChunk() throws {
    let context = try Context()
    let gradient = FloatBuffer(count: Self.chunks * WireLimits.bulkFloats)
    let tail = FloatBuffer(count: 12)
    let coordinator = try SlowCoordinator(in: context, payload: gradient.count + tail.count, pause: 3000)
    let bulk = try client(context, coordinator.endpoint)
    defer { bulk.stop() }
    try bulk.push(gradient: gradient, tail: tail, lease: LeaseID(5))
    #expect(coordinator.offsets.withLock { $0 } == (0...Self.chunks).map { $0 * WireLimits.bulkFloats })
  }

  @Test func whereTheGradientStaysTheTailAloneIsPushed() throws {
    let context = try Context()
    let gradient = FloatBuffer(count: 2 * WireLimits.bulkFloats + 5)
    let tail = FloatBuffer(count: WireLimits.bulkFloats + 12)
    let coordinator = try SlowCoordinator(in: context, payload: gradient.count + tail.count, pause: 0)
    let bulk = try client(context, coordinator.endpoint)
    defer { bulk.stop() }
    try bulk.push(gradient: gradient, tail: tail, lease: LeaseID(5), keepsGradient: true)
    #expect(
      coordinator.offsets.withLock { $0 } == [gradient.count, gradient.count + WireLimits.bulkFloats])
  }

  @Test func aPortThatTakesNoConnectionIsNamedWhileAQuestionWaitsForIt() throws {
    let context = try Context()
    let book = LogBook()
    let sender = Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: PeerID(rawValue: 7))
    // Port 1: nobody listens there.
    let bulk = try BulkClient(
      context: context, sender: sender, endpoint: Endpoint("tcp://127.0.0.1:1"), control: Endpoint("tcp://127.0.0.1:2"),
      security: .none(.loopback), complain: { book.log(.warning, $0) })
    let ended = BoundedQueue<Bool>(capacity: 1)
    startThread(named: "asker") {
      _ = try? bulk.ask(.holders(first: 0, count: 1))
      ended.close()
    }
    // The question waits for 20 s.
    #expect(book.waits(for: "The control port 2 at 127.0.0.1 answers, its bulk port 1 does not", seconds: 15))
    bulk.stop()
    #expect(try ended.handedOver() == nil)
  }

  @Test func aRefusalOfAnyChunkEndsThePush() throws {
    let context = try Context()
    let gradient = FloatBuffer(count: 4 * WireLimits.bulkFloats)
    let tail = FloatBuffer(count: 12)
    let coordinator = try SlowCoordinator(
      in: context, payload: .max, pause: 0, refusing: 2 * WireLimits.bulkFloats)
    let bulk = try client(context, coordinator.endpoint)
    defer { bulk.stop() }
    #expect(throws: BulkError.refused(by: coordinator.endpoint, reason: "no such lease")) {
      try bulk.push(gradient: gradient, tail: tail, lease: LeaseID(5))
    }
  }

  @Test func whatABrokenConnectionLeftUnansweredIsAskedAgain() throws {
    let listening = BoundedQueue<Endpoint>(capacity: 2)
    let first = try Endpoint("tcp://127.0.0.1:0")
    startThread(named: "first") {
      // Goes away at its first request, and another coordinator takes its port.
      guard let endpoint = try? Self.takeOneRequest(at: first, then: { _ = listening.tryAppend($0) }) else {
        return listening.close()
      }
      try? Self.refuseAll(at: endpoint, "the second")
    }
    let endpoint = try #require(try listening.handedOver())
    let context = try Context()
    let bulk = try client(context, endpoint)
    defer { bulk.stop() }
    #expect(throws: BulkError.refused(by: endpoint, reason: "the second")) {
      _ = try bulk.ask(.picture(index: 0, offset: 0, own: nil))
    }
  }

  private static func router(_ context: Context, at endpoint: Endpoint) throws -> RouterSocket {
    try RouterSocket(in: context, listeningOn: endpoint, for: .bulk, security: .none(.loopback))
  }

  private static func takeOneRequest(at endpoint: Endpoint, then isListening: (Endpoint) -> Void) throws -> Endpoint {
    let context = try Context()
    let router = try router(context, at: endpoint)
    isListening(router.endpoint)
    while let received = try router.receive(timeout: .seconds(30)) { if case .message = received { break } }
    return router.endpoint
  }

  /// Until nothing came for some time.
  private static func refuseAll(at endpoint: Endpoint, _ reason: String) throws {
    let context = try Context()
    let router = try oncePortIsFree { try Self.router(context, at: endpoint) }
    while let received = try router.receive(timeout: .seconds(10)) {
      guard case .message(let incoming) = received else { continue }
      let refusal = Envelope(
        sender: incoming.envelope.sender, message: .bulkReply(.unavailable(reason: reason)),
        exchange: incoming.envelope.exchange)
      _ = try router.send(Outgoing(refusal, to: incoming.peer), timeout: .patience)
    }
  }
}
