import Coordination
import Messages
import Numerics
import Wire

/// Fetches a step's student, and its new rows where they are given: chunk by chunk from the workers that the coordinator
/// names, and from the coordinator what those do not give.
///
/// Nobody is believed: each chunk has the hash that the coordinator names, or comes from elsewhere. Owned by one thread.
package final class WeightsExchange {
  /// Before this no source is taken for slow: it gets its chunks over the coordinator's link, which all share.
  private static let shortestPatience = Duration.seconds(2)
  /// A source may be silent for so many times as long as all of the last step's weights took.
  private static let patienceFactor = 2
  /// How long who was slow, or sent something else, is not asked.
  private static let avoidance = Duration.seconds(30)

  private let coordinator: BulkClient
  /// Where others ask this worker; nil where they do not.
  private let own: BulkAddress?
  /// What others may have of it.
  private let shelf: WeightsShelf
  /// Of those that are named.
  private let connectionsAtMost: Int
  private let log: ServiceLog
  /// Of the sources that were named last.
  private var clients: WorkerClients
  private var avoidedUntil: [Endpoint: ContinuousClock.Instant] = [:]
  /// How long a network's weights took the last time, wherever they came from.
  private var lastTook = Duration.zero

  /// - Parameters:
  ///   - coordinator: its bulk socket.
  ///   - own: where others ask this worker.
  ///   - shelf: filled as chunks come.
  ///   - connectionsAtMost: to sources; the coordinator is asked for what the others give.
  ///   - connect: to a source.
  package init(
    coordinator: BulkClient, own: BulkAddress?, shelf: WeightsShelf, log: @escaping ServiceLog,
    connectionsAtMost: Int = WeightsExchange.connectionsAtMost, connect: @escaping (BulkAddress) throws -> BulkClient
  ) {
    self.coordinator = coordinator
    self.own = own
    self.shelf = shelf
    self.connectionsAtMost = connectionsAtMost
    clients = WorkerClients(connect: connect)
    self.log = log
  }

  /// Descriptors that a connection takes: its own, and those that libzmq and two threads wake each other with.
  private static let descriptorsAConnection = 7
  /// Half of what this process may have, as many as come to its own socket.
  package static var connectionsAtMost: Int { max(1, ProcessLimits.connections / 2 / descriptorsAConnection) }

  /// Ends the connections to other workers.
  package func stop() { clients.stop() }

  /// Lets go of the last step's student, whose memory the next one takes.
  package func release() { shelf.clear() }

  /// Others may have a step's student, which came from the coordinator in `took`: it names this worker if the step begins
  /// again.
  package func offer(_ weights: FloatBuffer, step: Int, took: Duration) {
    shelf.begin(step: step, weights)
    for chunk in 0..<WireLimits.weightChunks(ofFloats: weights.count) { shelf.put(chunk) }
    learn(took: took)
  }

  /// A network's weights came from the coordinator in so long: over its link sources get their chunks too, so they may be
  /// silent for about as long.
  package func learn(took: Duration) { lastTook = took }

  /// - Parameters:
  ///   - student: filled; nobody else writes it.
  ///   - newRows: filled if they are given; nil if they are not wanted.
  ///   - check: called again and again; throws once the weights are of no use any more.
  /// - Returns: whether the new rows came.
  /// - Throws: `BulkError`, what `check` throws: then anything may be in the buffers, and others get none of it.
  @discardableResult
  package func fetch(
    step: Int, into student: FloatBuffer, newRows: FloatBuffer? = nil, unless check: () throws -> Void = {}
  ) throws -> Bool {
    let begun = ContinuousClock.now
    let sources = try sources(ofStep: step)
    let all = ExchangedChunk.all(ofStudent: student, newRows: newRows)
    let ofStudent = WireLimits.weightChunks(ofFloats: student.count)
    guard sources.hashes.count == all.count || sources.hashes.count == ofStudent else { throw badTable }
    let comeRows = sources.hashes.count > ofStudent
    shelf.begin(step: step, student, newRows: comeRows ? newRows : nil)
    do {
      let isPrompt = try fetch(Array(all.prefix(sources.hashes.count)), step: step, from: sources, unless: check)
      // Who waited for somebody in vain learnt nothing about what links carry.
      if isPrompt { learn(took: ContinuousClock.now - begun) }
    } catch {
      // Who waits for what will not come asks elsewhere at once.
      shelf.clear()
      throw error
    }
    return comeRows
  }

  /// - Returns: whether everybody was in time.
  private func fetch(
    _ chunks: [ExchangedChunk], step: Int, from sources: WeightSources, unless check: () throws -> Void
  ) throws -> Bool {
    let now = ContinuousClock.now
    avoidedUntil = avoidedUntil.filter { $0.value > now }
    clients.keep(Set(asked(of: sources)))
    let pieces = chunks.indices.map {
      PieceFetch.Piece(
        request: chunks[$0].request(ofStep: step), hash: sources.hashes[$0], holders: holders(ofChunk: $0, sources))
    }
    let kind = PieceFetch.Kind(
      patience: max(Self.shortestPatience, lastTook * Self.patienceFactor), evenAfter: Self.shortestPatience
    ) { .weightsUnavailable($0) }
    var fetch = PieceFetch(pieces, kind)
    defer {
      avoid(fetch.slow, "do not answer in time")
      avoid(fetch.wrong, "send other bits than they should")
    }
    try fetch.run(unless: check) { index, reply, frame, endpoint in
      let chunk = chunks[index]
      guard reply == chunk.reply(ofStep: step), let frame,
        frame.count == chunk.range.count * MemoryLayout<Float>.stride
      else { throw BulkError.otherBits("a chunk of weights", from: endpoint) }
      frame.copy(into: chunk.buffer, at: chunk.range.lowerBound)
      shelf.put(index)
    }
    return fetch.slow.isEmpty
  }

  private func sources(ofStep step: Int) throws -> WeightSources {
    let (reply, _) = try coordinator.ask(.weightSources(step: step))
    guard case .weightSources(let sources) = reply, sources.step == step else { throw badTable }
    return sources
  }

  private var badTable: BulkError { .otherBits("the table of who has weights", from: coordinator.endpoint) }

  /// The best first; the coordinator has all.
  private func holders(ofChunk chunk: Int, _ sources: WeightSources) -> [BulkClient] {
    let source = sources.source(ofChunk: chunk)
    guard source != own, let client = clients[source], avoidedUntil[source.endpoint] == nil else {
      return [coordinator]
    }
    return [client, coordinator]
  }

  /// Those of the sources that are asked: if there are too many, those that were asked before, then others from this
  /// worker's own place on.
  private func asked(of sources: WeightSources) -> [BulkAddress] {
    // With few chunks not all give some.
    let giving = Array(sources.sources.prefix(sources.hashes.count))
    let place = own.flatMap(giving.firstIndex) ?? 0
    let others = (giving[place...] + giving[..<place]).filter { $0 != own }
    guard others.count > connectionsAtMost else { return others }
    let known = others.filter { clients[$0] != nil }
    return Array((known + others.filter { clients[$0] == nil }).prefix(connectionsAtMost))
  }

  private func avoid(_ endpoints: Set<Endpoint>, _ why: String) {
    let new = endpoints.subtracting([coordinator.endpoint]).subtracting(avoidedUntil.keys)
    guard !new.isEmpty else { return }
    for endpoint in new { avoidedUntil[endpoint] = .now + Self.avoidance }
    log(
      .warning,
      "Workers at \(new.map(\.description).sorted().joined(separator: ", ")) \(why): their weights come from the "
        + "coordinator for \(Self.avoidance).")
  }
}
