import Foundation
import Messages
import Numerics
import Services
import Testing
import Wire

@Suite("A step's new rows come with its weights, where they are given", .timeLimit(.minutes(10)))
struct NewRowsExchangeTests {
  private static let weights = FloatBuffer((0..<WireLimits.weightChunkFloats + 9).map { Float($0) })
  /// Two chunks too.
  private static let rows = FloatBuffer((0..<WireLimits.weightChunkFloats + 20).map { -Float($0) })

  @Sendable private static func honest(_ request: BulkRequest) -> (BulkReply, Bulk?)? {
    guard case .weights(let network, let step, let offset, let count) = request else { return nil }
    let buffer = network == .newRows ? rows : weights
    return (.weights(network: network, step: step, offset: offset), .floats(buffer, offset..<offset + count))
  }

  private static func holder(
    _ answer: @escaping @Sendable (BulkRequest) -> (BulkReply, Bulk?)? = { honest($0) }
  ) throws -> ScriptedCoordinator { try ScriptedCoordinator(answer: answer) }

  /// - Parameter chunks: that have hashes, of four.
  private static func coordinator(_ sources: [ScriptedCoordinator], chunks: Int = 4) throws -> ScriptedCoordinator {
    let hashes = [weights, rows].flatMap { $0.contentHashes(ofChunks: WireLimits.weightChunkFloats) }.prefix(chunks)
    let addresses = sources.map { BulkAddress(endpoint: $0.bulkEndpoint) }
    return try holder { request in
      guard case .weightSources(let step) = request else { return honest(request) }
      return (.weightSources(WeightSources(step: step, sources: addresses, hashes: Array(hashes))), nil)
    }
  }

  private static func exchange(
    _ coordinator: ScriptedCoordinator, shelf: WeightsShelf = WeightsShelf(), connectionsAtMost: Int = 64,
    _ log: LogBook = LogBook()
  ) throws -> WeightsExchange {
    WeightsExchange(
      coordinator: try coordinator.client(), own: nil, shelf: shelf, log: log.log, connectionsAtMost: connectionsAtMost
    ) {
      try coordinator.client(of: $0.endpoint)
    }
  }

  /// Chunks that were asked for: of the student, then of the rows.
  private static func asked(_ holder: ScriptedCoordinator) -> [Int] {
    holder.takeAsked().compactMap { request in
      guard case .weights(let network, _, let offset, _) = request else { return nil }
      return (network == .newRows ? 2 : 0) + offset / WireLimits.weightChunkFloats
    }.sorted()
  }

  @Test func theyAreDealtToTheSourcesAfterTheStudent() throws {
    let sources = try (0..<3).map { _ in try Self.holder() }
    let coordinator = try Self.coordinator(sources)
    let shelf = WeightsShelf()
    let exchange = try Self.exchange(coordinator, shelf: shelf)
    defer { exchange.stop() }
    let (student, rows) = (FloatBuffer(count: Self.weights.count), FloatBuffer(count: Self.rows.count))
    #expect(try exchange.fetch(step: 3, into: student, newRows: rows))
    #expect(student.digest == Self.weights.digest && rows.digest == Self.rows.digest)
    #expect(Self.asked(coordinator) == [] && sources.map(Self.asked) == [[0, 3], [1], [2]])
    // What it has others may have of it.
    for (network, buffer, count) in [(Network.student, student, 9), (.newRows, rows, 20)] {
      guard
        case .here(let given) = shelf.chunk(of: network, ofStep: 3, offset: WireLimits.weightChunkFloats, count: count)
      else {
        Issue.record("the second chunk of \(network) is not on the shelf")
        continue
      }
      #expect(given === buffer)
    }
  }

  @Test func withoutTheirHashesOnlyTheStudentComes() throws {
    let sources = try (0..<2).map { _ in try Self.holder() }
    let coordinator = try Self.coordinator(sources, chunks: 2)
    let shelf = WeightsShelf()
    let exchange = try Self.exchange(coordinator, shelf: shelf)
    defer { exchange.stop() }
    let student = FloatBuffer(count: Self.weights.count)
    #expect(try !exchange.fetch(step: 3, into: student, newRows: FloatBuffer(count: Self.rows.count)))
    #expect(student.digest == Self.weights.digest && sources.map(Self.asked) == [[0], [1]])
    guard case .absent = shelf.chunk(of: .newRows, ofStep: 3, offset: 0, count: WireLimits.weightChunkFloats) else {
      Issue.record("rows that nobody has are given")
      return
    }
  }

  @Test(arguments: [1, 3]) func aTableOfOtherLengthIsNotGoneBy(chunks: Int) throws {
    let coordinator = try Self.coordinator([try Self.holder(), try Self.holder()], chunks: chunks)
    let exchange = try Self.exchange(coordinator)
    defer { exchange.stop() }
    let error = #expect(throws: BulkError.self) {
      try exchange.fetch(
        step: 3, into: FloatBuffer(count: Self.weights.count), newRows: FloatBuffer(count: Self.rows.count))
    }
    #expect("\(String(describing: error))".contains("the table of who has weights"))
  }

  @Test func whoLiesAboutThemIsNamedAndTheyComeFromTheCoordinator() throws {
    let liar = try Self.holder { request in
      guard case .weights(.newRows, let step, let offset, let count) = request else { return Self.honest(request) }
      return (.weights(network: .newRows, step: step, offset: offset), .floats(FloatBuffer(count: count), 0..<count))
    }
    let honest = try Self.holder()
    let coordinator = try Self.coordinator([honest, liar])
    let log = LogBook()
    let exchange = try Self.exchange(coordinator, log)
    defer { exchange.stop() }
    let rows = FloatBuffer(count: Self.rows.count)
    #expect(try exchange.fetch(step: 3, into: FloatBuffer(count: Self.weights.count), newRows: rows))
    #expect(rows.digest == Self.rows.digest)
    #expect(Self.asked(coordinator) == [3] && Self.asked(honest) == [0, 2], "\(log.lines)")
    #expect(
      log.lines.count == 1 && log.lines[0].contains("\(liar.bulkEndpoint) send other bits"), "\(log.lines)")
  }

  // MARK: Many sources, slow links

  @Test func asManySourcesAreAskedAsThereMayBeConnections() throws {
    let sources = try (0..<4).map { _ in try Self.holder() }
    let coordinator = try Self.coordinator(sources)
    let exchange = try Self.exchange(coordinator, connectionsAtMost: 2)
    defer { exchange.stop() }
    for step in 3...4 {
      let (student, rows) = (FloatBuffer(count: Self.weights.count), FloatBuffer(count: Self.rows.count))
      #expect(try exchange.fetch(step: step, into: student, newRows: rows))
      #expect(student.digest == Self.weights.digest && rows.digest == Self.rows.digest)
      #expect(Self.asked(coordinator) == [2, 3] && sources.map(Self.asked) == [[0], [1], [], []], "step \(step)")
    }
  }

  /// Their chunks come over the coordinator's link, which had all weights for five seconds before.
  @Test func whereTheCoordinatorsLinkIsSlowSourcesAreWaitedForLonger() throws {
    let slow = try (0..<2).map { _ in
      try Self.holder { request in
        Thread.sleep(forTimeInterval: 2.4)
        return Self.honest(request)
      }
    }
    let coordinator = try Self.coordinator(slow, chunks: 2)
    let log = LogBook()
    let exchange = try Self.exchange(coordinator, log)
    defer { exchange.stop() }
    exchange.learn(took: .seconds(5))
    let student = FloatBuffer(count: Self.weights.count)
    try exchange.fetch(step: 3, into: student)
    #expect(student.digest == Self.weights.digest && log.lines == [], "\(log.lines)")
    #expect(Self.asked(coordinator) == [] && slow.map(Self.asked) == [[0], [1]])
  }
}
