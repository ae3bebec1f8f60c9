import Messages
import Numerics
import Services
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

@Suite("A step's weights come from other workers, and from the coordinator where those fail", .timeLimit(.minutes(10)))
struct WeightsExchangeTests {
  /// Five chunks, the last of which is short.
  private static let weights: FloatBuffer = {
    var random = SplitMix64(seed: 5)
    return FloatBuffer(
      (0..<4 * WireLimits.weightChunkFloats + 77).map { _ in Float.random(in: -1...1, using: &random) })
  }()
  private static let hashes = weights.contentHashes(ofChunks: WireLimits.weightChunkFloats)

  /// Somebody who has the weights, and what it makes of a request for a chunk.
  private static func holder(
    _ answer: @escaping @Sendable (BulkRequest) -> (BulkReply, Bulk?)? = { honest($0) }
  ) throws -> ScriptedCoordinator { try ScriptedCoordinator(answer: answer) }

  @Sendable private static func honest(_ request: BulkRequest) -> (BulkReply, Bulk?)? {
    guard case .weights(.student, let step, let offset, let count) = request else { return nil }
    return (
      .weights(network: .student, step: step, offset: offset), .floats(weights, offset..<offset + count)
    )
  }

  /// Names these, and has the weights too.
  private static func coordinator(_ sources: [BulkAddress]) throws -> ScriptedCoordinator {
    try holder { request in
      guard case .weightSources(let step) = request else { return honest(request) }
      return (.weightSources(WeightSources(step: step, sources: sources, hashes: hashes)), nil)
    }
  }

  private static func address(_ holder: ScriptedCoordinator) -> BulkAddress {
    BulkAddress(endpoint: holder.bulkEndpoint)
  }

  private static func exchange(
    _ coordinator: ScriptedCoordinator, own: BulkAddress? = nil, shelf: WeightsShelf = WeightsShelf(),
    _ log: LogBook = LogBook()
  ) throws -> WeightsExchange {
    WeightsExchange(coordinator: try coordinator.client(), own: own, shelf: shelf, log: log.log) {
      try coordinator.client(of: $0.endpoint)
    }
  }

  private static func fetch(_ exchange: WeightsExchange, step: Int = 3) throws -> FloatBuffer {
    let buffer = FloatBuffer(count: weights.count)
    exchange.release()
    try exchange.fetch(step: step, into: buffer)
    return buffer
  }

  private static func chunks(_ asked: [BulkRequest]) -> [Int] {
    asked.compactMap {
      if case .weights(_, _, let offset, _) = $0 { offset / WireLimits.weightChunkFloats } else { nil }
    }
    .sorted()
  }

  @Test func eachChunkIsAskedOfItsSource() throws {
    let sources = try [Self.holder(), Self.holder()]
    let coordinator = try Self.coordinator(sources.map(Self.address))
    let exchange = try Self.exchange(coordinator)
    defer { exchange.stop() }
    #expect(try Self.fetch(exchange).digest == Self.weights.digest)
    #expect(Self.chunks(coordinator.takeAsked()) == [])
    #expect(sources.map { Self.chunks($0.takeAsked()) } == [[0, 2, 4], [1, 3]])
  }

  @Test func aSourceAsksTheCoordinatorForItsOwnChunks() throws {
    let other = try Self.holder()
    let own = BulkAddress(endpoint: try Endpoint("tcp://127.0.0.1:9"))
    let coordinator = try Self.coordinator([own, Self.address(other)])
    let shelf = WeightsShelf()
    let exchange = try Self.exchange(coordinator, own: own, shelf: shelf)
    defer { exchange.stop() }
    let fetched = try Self.fetch(exchange)
    #expect(fetched.digest == Self.weights.digest)
    #expect(Self.chunks(coordinator.takeAsked()) == [0, 2, 4] && Self.chunks(other.takeAsked()) == [1, 3])
    // What it has others may have of it, of those of others too.
    for (chunk, count) in [(0, WireLimits.weightChunkFloats), (1, WireLimits.weightChunkFloats), (4, 77)] {
      guard
        case .here(let weights) = shelf.chunk(
          of: .student, ofStep: 3, offset: chunk * WireLimits.weightChunkFloats, count: count)
      else {
        Issue.record("chunk \(chunk) is not on the shelf")
        continue
      }
      #expect(weights === fetched)
    }
  }

  /// What a source may do instead of giving its chunks.
  enum Fault: String, CaseIterable {
    case sendsOtherFloats, sendsAnotherLength, sendsAnotherChunk, refuses, isSilent, isNotThere

    func answer(_ request: BulkRequest) -> (BulkReply, Bulk?)? {
      guard case .weights(.student, let step, let offset, let count) = request else { return nil }
      let reply = BulkReply.weights(network: .student, step: step, offset: offset)
      switch self {
      case .sendsOtherFloats: return (reply, .floats(FloatBuffer(count: count), 0..<count))
      case .sendsAnotherLength: return (reply, .floats(FloatBuffer(count: count), 0..<count - 1))
      case .sendsAnotherChunk:
        return (.weights(network: .student, step: step, offset: 0), .floats(FloatBuffer(count: count), 0..<count))
      case .refuses: return (.unavailable(reason: "not today"), nil)
      case .isSilent, .isNotThere: return nil
      }
    }
  }

  @Test(arguments: Fault.allCases) func whatASourceDoesNotGiveComesFromTheCoordinator(fault: Fault) throws {
    let honest = try Self.holder()
    let faulty = try Self.holder { fault.answer($0) }
    let place =
      fault == .isNotThere ? BulkAddress(endpoint: try Endpoint("tcp://127.0.0.1:9")) : Self.address(faulty)
    let coordinator = try Self.coordinator([Self.address(honest), place])
    let log = LogBook()
    let exchange = try Self.exchange(coordinator, log)
    defer { exchange.stop() }
    #expect(try Self.fetch(exchange).digest == Self.weights.digest)
    #expect(Self.chunks(coordinator.takeAsked()) == [1, 3] && Self.chunks(honest.takeAsked()) == [0, 2, 4])
    _ = faulty.takeAsked()
    #expect(try Self.fetch(exchange, step: 4).digest == Self.weights.digest)
    #expect(Self.chunks(coordinator.takeAsked()) == [1, 3] && Self.chunks(honest.takeAsked()) == [0, 2, 4])
    // Who refuses may have its reasons; whoever is slow or lies is named, and not asked again for a while.
    if fault != .refuses {
      #expect(Self.chunks(faulty.takeAsked()) == [])
      #expect(log.lines.count == 1 && log.lines.allSatisfy { $0.contains("\(place.endpoint)") }, "\(log.lines)")
    }
  }

  @Test func aCoordinatorThatLiesIsFoundOut() throws {
    let coordinator = try Self.holder { request in
      guard case .weightSources(let step) = request else { return Fault.sendsOtherFloats.answer(request) }
      let own = BulkAddress(endpoint: try! Endpoint("tcp://127.0.0.1:9"))
      return (.weightSources(WeightSources(step: step, sources: [own], hashes: Self.hashes)), nil)
    }
    let exchange = try Self.exchange(coordinator, own: BulkAddress(endpoint: try Endpoint("tcp://127.0.0.1:9")))
    defer { exchange.stop() }
    let error = #expect(throws: BulkError.self) { try Self.fetch(exchange) }
    guard case .weightsUnavailable(let reason)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains("\(coordinator.bulkEndpoint)") && reason.contains("other bits"))
  }
}

// MARK: - What a worker gives

@Suite("A worker gives chunks of the newest student, and waits for those on their way", .timeLimit(.minutes(10)))
struct WeightsServingTests {
  private static let count = 2 * WireLimits.weightChunkFloats + 10

  /// A worker's socket, and somebody who asks there.
  private struct Worker {
    let shelf = WeightsShelf()
    let socket: WeightsSocket
    let client: BulkClient

    init(asking incarnation: Incarnation = Incarnation(1)) throws {
      let context = try Context()
      let run = RunIdentity(high: 1, low: 2)
      let sender = Sender(run: run, incarnation: Incarnation(1), peer: .random())
      let listen = WorkerOptions.Serving(listen: try Endpoint("tcp://127.0.0.1:0"), security: .none(.loopback))
      socket = try WeightsSocket(in: context, listen) { _, _ in }
      socket.serve(WeightsServing(sender: sender, shelf: shelf) { _, _ in })
      client = try BulkClient(
        context: context, sender: Sender(run: run, incarnation: incarnation, peer: .random()),
        endpoint: socket.address.endpoint, security: .none(.loopback))
    }

    func stop() {
      client.stop()
      socket.stop()
    }

    func chunk(_ chunk: Int, step: Int = 5, count: Int = WireLimits.weightChunkFloats) -> BulkRequest {
      .weights(network: .student, step: step, offset: chunk * WireLimits.weightChunkFloats, count: count)
    }
  }

  private func reason(_ body: () throws -> BulkClient.Answer) -> String {
    do {
      return "\(try body().reply)"
    } catch {
      return "\(error)"
    }
  }

  @Test func aChunkThatIsOnItsWayIsGivenWhenItIsThere() throws {
    let worker = try Worker()
    defer { worker.stop() }
    let weights = FloatBuffer((0..<Self.count).map { Float($0) })
    let answered = BoundedQueue<Result<BulkClient.Answer, any Error>>(capacity: 2)
    for (chunk, count) in [(0, WireLimits.weightChunkFloats), (2, 10)] {
      startThread(named: "asks") {
        answered.append(Result { try worker.client.ask(worker.chunk(chunk, count: count)) })
      }
    }
    // Its step has not begun here; then it has, and the chunk is not there.
    #expect(answered.isStillEmpty(for: .milliseconds(200)))
    worker.shelf.begin(step: 5, weights)
    #expect(answered.isStillEmpty(for: .milliseconds(200)))
    worker.shelf.put(2)
    let last = try #require(answered.next()).get()
    #expect(last.reply == .weights(network: .student, step: 5, offset: 2 * WireLimits.weightChunkFloats))
    #expect(last.bulk?.count == 40)
    worker.shelf.put(0)
    let first = try #require(answered.next()).get()
    let there = FloatBuffer(count: WireLimits.weightChunkFloats)
    first.bulk?.copy(into: there, at: 0)
    #expect(there.digest == FloatBuffer((0..<WireLimits.weightChunkFloats).map { Float($0) }).digest)
  }

  @Test func newRowsAreGivenWhereTheyAreHere() throws {
    let worker = try Worker()
    defer { worker.stop() }
    let request = BulkRequest.weights(network: .newRows, step: 5, offset: 0, count: 96)
    worker.shelf.begin(step: 5, FloatBuffer(count: Self.count))
    #expect(reason { try worker.client.ask(request) }.contains("no chunk of the newRows"))
    let rows = FloatBuffer((0..<96).map { Float($0) })
    worker.shelf.begin(step: 5, FloatBuffer(count: Self.count), newRows: rows)
    // After three chunks of the student.
    worker.shelf.put(3)
    let (reply, frame) = try worker.client.ask(request)
    let there = FloatBuffer(count: 96)
    frame?.copy(into: there, at: 0)
    #expect(reply == .weights(network: .newRows, step: 5, offset: 0) && there.digest == rows.digest)
  }

  @Test func whatIsNotTheNewestIsRefused() throws {
    let worker = try Worker()
    defer { worker.stop() }
    worker.shelf.begin(step: 5, FloatBuffer(count: Self.count))
    for chunk in 0..<3 { worker.shelf.put(chunk) }
    #expect(reason { try worker.client.ask(worker.chunk(0, step: 4)) }.contains("are of step 5"))
    #expect(reason { try worker.client.ask(worker.chunk(0, count: 7)) }.contains("no chunk of"))
    #expect(reason { try worker.client.ask(worker.chunk(2)) }.contains("no chunk of"))
    #expect(reason { try worker.client.ask(worker.chunk(3)) }.contains("no chunk of"))
    let teacher = BulkRequest.weights(network: .teacher, step: 5, offset: 0, count: WireLimits.weightChunkFloats)
    for request in [teacher, .holders(first: 0, count: 1), .weightSources(step: 5)] {
      #expect(reason { try worker.client.ask(request) }.contains("chunks of the student's weights and of new rows"))
    }
    worker.shelf.clear()
    #expect(reason { try worker.client.ask(worker.chunk(0)) }.contains("are not here"))
  }

  @Test func anotherStartOfTheCoordinatorIsAnothersBusiness() throws {
    let worker = try Worker(asking: Incarnation(2))
    defer { worker.stop() }
    worker.shelf.begin(step: 5, FloatBuffer(count: Self.count))
    worker.shelf.put(0)
    #expect(reason { try worker.client.ask(worker.chunk(0)) }.contains("another start"))
  }

  @Test func whoAsksForMoreThanMayWaitIsToldSo() throws {
    let worker = try Worker()
    defer { worker.stop() }
    let answers = BulkClient.Answers(capacity: 100)
    for index in 0..<40 { worker.client.send(worker.chunk(0), index: index, to: answers) }
    for _ in 0..<8 {
      let (_, result) = try #require(answers.next())
      #expect(try result.get().reply == .unavailable(reason: "too many requests wait; ask again"))
    }
    worker.shelf.begin(step: 5, FloatBuffer(count: Self.count))
    worker.shelf.put(0)
    for _ in 0..<32 {
      let (_, result) = try #require(answers.next())
      #expect(try result.get().reply == .weights(network: .student, step: 5, offset: 0))
    }
  }
}

extension BoundedQueue {
  /// Whether nothing comes for so long. What is added is not taken, for it would be lost.
  fileprivate func isStillEmpty(for duration: Duration) -> Bool {
    guard case .element(let element) = next(within: duration) else { return true }
    append(element)
    return false
  }
}
