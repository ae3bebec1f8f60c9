import Messages
import Numerics
import Services
import Slices
import TestSupport
import Testing
import Wire

@Suite("A worker gives the gradients that it keeps, for as long as it keeps them", .timeLimit(.minutes(10)))
struct GradientServingTests {
  /// Floats of a gradient of three chunks, the last of which is short.
  private static let count = 2 * WireLimits.gradientChunkFloats + 10
  private static let slices = SliceRange(first: 2, count: 2)
  private static let lease = LeaseID(7)

  /// A worker's socket, and somebody who asks there.
  private final class Worker {
    let kept = KeptGradients()
    let client: BulkClient
    private let socket: WeightsSocket

    init(asking incarnation: Incarnation = Incarnation(1), of run: RunIdentity = RunIdentity(high: 1, low: 2)) throws {
      let context = try Context()
      let sender = Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: .random())
      let listen = WorkerOptions.Serving(listen: try Endpoint("tcp://127.0.0.1:0"), security: .none(.loopback))
      socket = try WeightsSocket(in: context, listen) { _, _ in }
      socket.serve(WeightsServing(sender: sender, shelf: WeightsShelf(), gradients: kept) { _, _ in })
      client = try BulkClient(
        context: context, sender: Sender(run: run, incarnation: incarnation, peer: .random()),
        endpoint: socket.address.endpoint, security: .none(.loopback))
    }

    deinit {
      client.stop()
      socket.stop()
    }

    func put(_ gradient: KeptGradient, step: Int = 5, of lease: LeaseID = GradientServingTests.lease) {
      kept.put(
        KeptGradients.Gradient(step: step, slices: gradient.slices, floats: gradient.floats, hashes: gradient.hashes),
        of: lease)
    }

    func chunk(_ chunk: Int, step: Int = 5, slices: SliceRange = GradientServingTests.slices) -> BulkRequest {
      .gradient(GradientChunk(step: step, slices: slices, chunk: chunk))
    }

    /// Why it does not answer; what it answers, if it does.
    func reason(_ request: BulkRequest) -> String {
      do { return "\(try client.ask(request).reply)" } catch { return "\(error)" }
    }
  }

  @Test func chunksAndHashesAreThoseThatWereAnnounced() throws {
    let worker = try Worker()
    let gradient = KeptGradient(of: Self.slices, count: Self.count)
    worker.put(gradient)
    let (reply, frame) = try worker.client.ask(.gradientHashes(step: 5, slices: Self.slices))
    #expect(reply == .gradientHashes(step: 5, slices: Self.slices))
    let hashes = try #require(frame?.withBytes { ContentHash.hashes(in: $0, count: 3) })
    #expect(ContentHash(of: hashes) == GradientIdentity(digest: gradient.floats.digest, chunks: gradient.hashes).hash)
    for chunk in 0..<3 {
      let (reply, frame) = try worker.client.ask(worker.chunk(chunk))
      #expect(reply == .gradient(GradientChunk(step: 5, slices: Self.slices, chunk: chunk)))
      #expect(frame?.count == (chunk < 2 ? WireLimits.gradientChunkFloats : 10) * MemoryLayout<Float>.stride)
      #expect(frame?.withBytes { ContentHash(of: $0) } == hashes[chunk])
    }
  }

  @Test func whatIsNotThereIsRefused() throws {
    let worker = try Worker()
    worker.put(KeptGradient(of: Self.slices, count: Self.count))
    let absent = "is not here"
    for step in [4, 6] {
      #expect(worker.reason(.gradientHashes(step: step, slices: Self.slices)).contains(absent))
      #expect(worker.reason(worker.chunk(0, step: step)).contains(absent))
    }
    for slices in [SliceRange(first: 2, count: 1), SliceRange(first: 0, count: 4), SliceRange(first: 0, count: 2)] {
      #expect(worker.reason(.gradientHashes(step: 5, slices: slices)).contains(absent))
      #expect(worker.reason(worker.chunk(0, slices: slices)).contains(absent))
    }
    for chunk in [3, WireLimits.gradientChunks - 1] {
      #expect(worker.reason(worker.chunk(chunk)).contains("chunk \(chunk) of a gradient of 3"))
    }
    // And it goes on answering.
    #expect(worker.reason(worker.chunk(2)).contains("chunk: 2"))
  }

  @Test func whatIsLetGoOfIsNotGivenAnyMore() throws {
    let worker = try Worker()
    let others = SliceRange(first: 0, count: 2)
    worker.put(KeptGradient(of: Self.slices, count: Self.count))
    worker.put(KeptGradient(of: others, count: Self.count), of: LeaseID(8))
    worker.kept.forget(LeaseID(9))
    #expect(worker.reason(worker.chunk(0)).contains("chunk: 0"))
    worker.kept.forget(Self.lease)
    #expect(worker.reason(worker.chunk(0)).contains("is not here"))
    #expect(worker.reason(worker.chunk(0, slices: others)).contains("chunk: 0"))
    worker.kept.forgetAll()
    #expect(worker.reason(worker.chunk(0, slices: others)).contains("is not here"))
  }

  @Test func anotherRunOrStartOfTheCoordinatorIsAnothersBusiness() throws {
    for worker in [try Worker(asking: Incarnation(2)), try Worker(of: RunIdentity(high: 1, low: 3))] {
      worker.put(KeptGradient(of: Self.slices, count: Self.count))
      #expect(worker.reason(.gradientHashes(step: 5, slices: Self.slices)).contains("another start"))
      #expect(worker.reason(worker.chunk(0)).contains("another start"))
    }
  }
}
