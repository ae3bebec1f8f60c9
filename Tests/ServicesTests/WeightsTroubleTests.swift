import Foundation
import Messages
import Numerics
import Services
import TestSupport
import Testing
import Wire

@Suite("Whoever gives weights, or asks for them, keeps nobody for long", .timeLimit(.minutes(10)))
struct WeightsTroubleTests {
  /// Three chunks, the last of which is short.
  private static let weights: FloatBuffer = {
    var random = SplitMix64(seed: 6)
    return FloatBuffer((0..<2 * WireLimits.weightChunkFloats + 5).map { _ in Float.random(in: -1...1, using: &random) })
  }()

  /// Has the weights of steps from `newest` on, and names these.
  private static func coordinator(
    naming sources: [BulkAddress], newest: Int = 0
  ) throws -> ScriptedCoordinator {
    let hashes = weights.contentHashes(ofChunks: WireLimits.weightChunkFloats)
    return try ScriptedCoordinator { request in
      switch request {
      case .weightSources(let step):
        return (.weightSources(WeightSources(step: step, sources: sources, hashes: hashes)), nil)
      case .weights(_, let step, let offset, let count):
        guard step >= newest else { return (.unavailable(reason: "the newest are of step \(newest)"), nil) }
        return (
          .weights(network: .student, step: step, offset: offset), .floats(weights, offset..<offset + count)
        )
      default: return nil
      }
    }
  }

  private static func exchange(
    _ coordinator: ScriptedCoordinator, shelf: WeightsShelf = WeightsShelf(), _ log: LogBook = LogBook()
  ) throws -> WeightsExchange {
    WeightsExchange(coordinator: try coordinator.client(), own: nil, shelf: shelf, log: log.log) {
      try coordinator.client(of: $0.endpoint)
    }
  }

  private static func seconds(_ body: () throws -> Void) rethrows -> Double {
    try ContinuousClock().measure(body) / .seconds(1)
  }

  // MARK: Those that give

  private static func fetches(from source: RawListener) throws -> (first: Double, second: Double, LogBook) {
    let coordinator = try coordinator(naming: [BulkAddress(endpoint: source.endpoint)])
    let log = LogBook()
    let exchange = try exchange(coordinator, log)
    defer { exchange.stop() }
    let times = try [3, 4].map { step in
      let buffer = FloatBuffer(count: weights.count)
      let time = try seconds { try exchange.fetch(step: step, into: buffer) }
      #expect(buffer.digest == weights.digest)
      return time
    }
    return (times[0], times[1], log)
  }

  @Test func aSourceThatDripsIsPassedOverAndAvoided() throws {
    let drip = try RawListener { connection in
      connection.shakeHands()
      // A frame that would be an envelope of 60,000 bytes, one byte after the other.
      guard connection.send([3, 0, 0, 0, 0, 0, 0, 0xEA, 0x60]) else { return }
      while connection.send([0]) { Thread.sleep(forTimeInterval: 0.5) }
    }
    let (first, second, log) = try Self.fetches(from: drip)
    #expect(drip.connections >= 1 && first < 5 && second < 1, "\(first) s, then \(second) s")
    #expect(log.lines.count == 1 && log.lines[0].contains("\(drip.endpoint) do not answer in time"), "\(log.lines)")
  }

  @Test func aSourceThatLetsInAndSaysNothingIsPassedOverAndAvoided() throws {
    let silent = try RawListener { $0.awaitEnd() }
    let (first, second, log) = try Self.fetches(from: silent)
    #expect(silent.connections >= 1 && first < 3 && second < 1, "\(first) s, then \(second) s")
    #expect(log.lines.count == 1, "\(log.lines)")
  }

  @Test func namesThatNobodyKnowsAndAddressesWithoutAWayArePassedOver() throws {
    let places = try ["tcp://no-such-host.invalid:7", "tcp://[2001:db8::1]:7", "tcp://192.0.2.1:7"].map {
      BulkAddress(endpoint: try Endpoint($0))
    }
    let coordinator = try Self.coordinator(naming: places)
    let exchange = try Self.exchange(coordinator)
    let buffer = FloatBuffer(count: Self.weights.count)
    #expect(try Self.seconds { try exchange.fetch(step: 3, into: buffer) } < 5)
    #expect(buffer.digest == Self.weights.digest)
    #expect(Self.seconds { exchange.stop() } < 5)
  }

  // MARK: Steps that are over

  @Test func aFetchWhoseStepIsOverForEverybodyEndsAtOnce() throws {
    let shelf = WeightsShelf()
    let context = try Context()
    let run = RunIdentity(high: 3, low: 4)
    let socket = try WeightsSocket(
      in: context, WorkerOptions.Serving(listen: try Endpoint("tcp://127.0.0.1:0"), security: .none(.loopback))
    ) { _, _ in }
    defer { socket.stop() }
    let sender = Sender(run: run, incarnation: Incarnation(1), peer: .random())
    socket.serve(WeightsServing(sender: sender, shelf: shelf) { _, _ in })
    shelf.begin(step: 4, Self.weights)
    let coordinator = try Self.coordinator(naming: [socket.address], newest: 4)
    let exchange = try Self.exchange(coordinator)
    defer { exchange.stop() }
    let took = Self.seconds {
      let error = #expect(throws: BulkError.self) {
        try exchange.fetch(step: 3, into: FloatBuffer(count: Self.weights.count))
      }
      #expect("\(String(describing: error))".contains("the newest are of step 4"))
    }
    #expect(took < 1)
  }

  /// Its source waits for the weights too, and the coordinator has newer ones.
  @Test func aFetchThatIsNotWantedEndsAtOnceAndSoDoTheWaitsOfThoseWhoAskedForIt() throws {
    let silent = try ScriptedCoordinator()
    let coordinator = try Self.coordinator(naming: [BulkAddress(endpoint: silent.bulkEndpoint)], newest: 4)
    let shelf = WeightsShelf()
    let exchange = try Self.exchange(coordinator, shelf: shelf)
    defer { exchange.stop() }
    let begun = ContinuousClock.now
    let took = Self.seconds {
      #expect(throws: WorkerError.cancelled) {
        try exchange.fetch(step: 3, into: FloatBuffer(count: Self.weights.count)) {
          guard ContinuousClock.now - begun < .milliseconds(300) else { throw WorkerError.cancelled }
          guard case .coming = shelf.chunk(of: .student, ofStep: 3, offset: 0, count: WireLimits.weightChunkFloats)
          else {
            Issue.record("it is not on its way")
            return
          }
        }
      }
    }
    #expect(took < 1.5)
    guard case .absent = shelf.chunk(of: .student, ofStep: 3, offset: 0, count: WireLimits.weightChunkFloats) else {
      Issue.record("who asks waits for what will not come")
      return
    }
  }

  @Test func whatCameFromTheCoordinatorIsGivenToo() throws {
    let shelf = WeightsShelf()
    let exchange = try Self.exchange(try Self.coordinator(naming: []), shelf: shelf)
    defer { exchange.stop() }
    exchange.offer(Self.weights, step: 3, took: .milliseconds(10))
    for (chunk, count) in [(0, WireLimits.weightChunkFloats), (2, 5)] {
      guard
        case .here(let weights) = shelf.chunk(
          of: .student, ofStep: 3, offset: chunk * WireLimits.weightChunkFloats, count: count)
      else {
        Issue.record("chunk \(chunk) is not there")
        continue
      }
      #expect(weights === Self.weights)
    }
  }

  // MARK: Those that ask

  @Test func whoAsksAndReadsNothingTakesBoundedMemoryAndKeepsNobodyWaiting() throws {
    let context = try Context()
    let sender = Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: .random())
    let shelf = WeightsShelf()
    let socket = try WeightsSocket(
      in: context, WorkerOptions.Serving(listen: try Endpoint("tcp://127.0.0.1:0"), security: .none(.loopback))
    ) { _, _ in }
    defer { socket.stop() }
    socket.serve(WeightsServing(sender: sender, shelf: shelf) { _, _ in })
    shelf.begin(step: 5, Self.weights)
    shelf.put(0)
    let request = BulkRequest.weights(network: .student, step: 5, offset: 0, count: WireLimits.weightChunkFloats)
    let before = try ThisProcess.residentBytes()
    // 6,400 answers of 256 KiB.
    let askers = try (0..<100).map { _ in
      let (peer, asker) = (PeerID.random(), try RawPeer(to: socket.address.endpoint, receiveBuffer: 64 << 10))
      asker.shakeHands(as: peer)
      let identity = Sender(run: sender.run, incarnation: sender.incarnation, peer: peer)
      for exchange in 1...64 as ClosedRange<UInt64> {
        asker.send(frame: Envelope(sender: identity, message: .bulkRequest(request), exchange: exchange).encoded())
      }
      return asker
    }
    let client = try BulkClient(
      context: context, sender: Sender(run: sender.run, incarnation: sender.incarnation, peer: .random()),
      endpoint: socket.address.endpoint, security: .none(.loopback))
    defer { client.stop() }
    var answers = 0
    let took = try Self.seconds {
      try client.ask(Array(repeating: request, count: 100)) { _, _, frame in
        if frame?.count == WireLimits.weightChunkFloats * MemoryLayout<Float>.stride { answers += 1 }
      }
    }
    #expect(answers == 100 && took < 20, "\(answers) in \(took) s")
    let grown = try ThisProcess.residentBytes() - before
    #expect(grown < 250 << 20, "\(grown >> 20) MiB")
    withExtendedLifetime(askers) {}
  }

  @Test func messagesThatAreNoneAreNamedNowAndThen() throws {
    let context = try Context()
    let sender = Sender(run: RunIdentity(high: 1, low: 2), incarnation: Incarnation(1), peer: .random())
    let log = LogBook()
    let socket = try WeightsSocket(
      in: context, WorkerOptions.Serving(listen: try Endpoint("tcp://127.0.0.1:0"), security: .none(.loopback)),
      log: log.log)
    defer { socket.stop() }
    socket.serve(WeightsServing(sender: sender, shelf: WeightsShelf(), log: log.log))
    let asker = try RawPeer(to: socket.address.endpoint)
    asker.shakeHands(as: .random())
    for _ in 0..<500 { asker.send(frame: [1, 2, 3]) }
    #expect(eventually(within: 10) { !log.lines.isEmpty })
    // Its answers show that all were read.
    let client = try BulkClient(
      context: context, sender: Sender(run: sender.run, incarnation: sender.incarnation, peer: .random()),
      endpoint: socket.address.endpoint, security: .none(.loopback))
    defer { client.stop() }
    for _ in 0..<20 { #expect(throws: BulkError.self) { try client.ask(.weightSources(step: 1)) } }
    #expect(log.lines.count <= 2, "\(log.lines.count) lines, the first of them \(log.lines.first ?? "")")
  }
}
