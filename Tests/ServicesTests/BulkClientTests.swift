import Glibc
import Numerics
import Services
import Synchronization
import Testing
import Wire

@Suite struct BulkClientPushesWholePayloads {
  /// What a coordinator that takes its time saw of a push: the offsets, in their order.
  private final class SlowCoordinator: Sendable {
    let offsets = Mutex<[Int]>([])
    let endpoint: Endpoint

    /// - Parameters:
    ///   - refusing: the offset of a chunk that is answered with `unavailable`.
    init(in context: Context, payload: Int, pause: UInt32, refusing: Int? = nil) throws {
      let router = try RouterSocket(
        in: context, listeningOn: Endpoint("tcp://127.0.0.1:0"), for: .bulk, security: .none(.loopback))
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
              to: incoming.peer), timeout: .seconds(5))
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

  @Test(.timeLimit(.minutes(1))) func aPayloadLargerThanAllQueuesArrivesChunkByChunk() throws {
    let context = try Context()
    let gradient = FloatBuffer(count: Self.chunks * Limits.bulkFloats)
    let tail = FloatBuffer(count: 12)
    let coordinator = try SlowCoordinator(in: context, payload: gradient.count + tail.count, pause: 3000)
    let bulk = try client(context, coordinator.endpoint)
    defer { bulk.stop() }
    try bulk.push(gradient: gradient, tail: tail, lease: LeaseID(5))
    #expect(coordinator.offsets.withLock { $0 } == (0...Self.chunks).map { $0 * Limits.bulkFloats })
  }

  @Test(.timeLimit(.minutes(1))) func aRefusalOfAnyChunkEndsThePush() throws {
    let context = try Context()
    let gradient = FloatBuffer(count: 4 * Limits.bulkFloats)
    let tail = FloatBuffer(count: 12)
    let coordinator = try SlowCoordinator(
      in: context, payload: .max, pause: 0, refusing: 2 * Limits.bulkFloats)
    let bulk = try client(context, coordinator.endpoint)
    defer { bulk.stop() }
    #expect(throws: WorkerError.refused("no such lease")) {
      try bulk.push(gradient: gradient, tail: tail, lease: LeaseID(5))
    }
  }
}
