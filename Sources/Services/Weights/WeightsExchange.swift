import Coordination
import Messages
import Numerics
import Wire

/// Fetches a step's student: chunk by chunk from the workers that the coordinator names, and from the coordinator what
/// those do not give.
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
  private let connect: (BulkAddress) throws -> BulkClient
  private let log: ServiceLog
  /// Of the sources that were named last.
  private var clients: [BulkAddress: BulkClient] = [:]
  private var avoidedUntil: [Endpoint: ContinuousClock.Instant] = [:]
  /// How long the last step's weights took, wherever they came from.
  private var lastTook = Duration.zero

  /// - Parameters:
  ///   - coordinator: its bulk socket.
  ///   - own: where others ask this worker.
  ///   - shelf: filled as chunks come.
  ///   - connect: to a source.
  package init(
    coordinator: BulkClient, own: BulkAddress?, shelf: WeightsShelf, log: @escaping ServiceLog,
    connect: @escaping (BulkAddress) throws -> BulkClient
  ) {
    self.coordinator = coordinator
    self.own = own
    self.shelf = shelf
    self.connect = connect
    self.log = log
  }

  /// Ends the connections to other workers.
  package func stop() {
    for client in clients.values { client.stop() }
    clients = [:]
  }

  /// Lets go of the last step's student, whose memory the next one takes.
  package func release() { shelf.clear() }

  /// Others may have a step's student, which came from the coordinator in `took`: it names this worker if the step begins
  /// again.
  package func offer(_ weights: FloatBuffer, step: Int, took: Duration) {
    shelf.begin(step: step, weights)
    for chunk in 0..<WireLimits.frames(ofFloats: weights.count) { shelf.put(chunk) }
    lastTook = took
  }

  /// - Parameters:
  ///   - check: called again and again; throws once the weights are of no use any more.
  ///   - weights: filled; nobody else writes it.
  /// - Throws: `BulkError`, what `check` throws: then anything may be in `weights`, and others get none of it.
  package func fetch(step: Int, into weights: FloatBuffer, unless check: () throws -> Void = {}) throws {
    let begun = ContinuousClock.now
    let sources = try sources(ofStep: step, chunks: WireLimits.frames(ofFloats: weights.count))
    shelf.begin(step: step, weights)
    do {
      try fetch(step: step, from: sources, into: weights, unless: check)
    } catch {
      // Who waits for what will not come asks elsewhere at once.
      shelf.clear()
      throw error
    }
    lastTook = ContinuousClock.now - begun
  }

  private func fetch(
    step: Int, from sources: WeightSources, into weights: FloatBuffer, unless check: () throws -> Void
  ) throws {
    let ranges = BulkClient.ranges(weights.count)
    keepClients(of: sources)
    let pieces = ranges.indices.map { chunk in
      PieceFetch.Piece(
        request: .weights(
          network: .student, step: step, offset: ranges[chunk].lowerBound, count: ranges[chunk].count),
        holders: holders(ofChunk: chunk, sources))
    }
    let patience = max(Self.shortestPatience, lastTook * Self.patienceFactor)
    var fetch = PieceFetch(pieces, PieceFetch.Kind(patience: patience, isEven: true) { .weightsUnavailable($0) })
    defer {
      avoid(fetch.slow, "do not answer in time")
      avoid(fetch.wrong, "send other bits than they should")
    }
    try fetch.run(unless: check) { chunk, reply, frame, endpoint in
      let range = ranges[chunk]
      guard reply == .weights(network: .student, step: step, offset: range.lowerBound), let frame,
        frame.count == range.count * MemoryLayout<Float>.stride,
        frame.withBytes({ ContentHash(of: $0) }) == sources.hashes[chunk]
      else { throw BulkError.otherBits("a chunk of weights", from: endpoint) }
      frame.copy(into: weights, at: range.lowerBound)
      shelf.put(chunk)
    }
  }

  private func sources(ofStep step: Int, chunks: Int) throws -> WeightSources {
    let (reply, _) = try coordinator.ask(.weightSources(step: step))
    guard case .weightSources(let sources) = reply, sources.step == step, sources.hashes.count == chunks else {
      throw BulkError.otherBits("the table of who has weights", from: coordinator.endpoint)
    }
    return sources
  }

  /// The best first; the coordinator has all.
  private func holders(ofChunk chunk: Int, _ sources: WeightSources) -> [BulkClient] {
    let source = sources.source(ofChunk: chunk)
    guard source != own, let client = clients[source], avoidedUntil[source.endpoint] == nil else {
      return [coordinator]
    }
    return [client, coordinator]
  }

  /// Connections to these and to no others.
  private func keepClients(of sources: WeightSources) {
    let now = ContinuousClock.now
    avoidedUntil = avoidedUntil.filter { $0.value > now }
    // With few chunks not all give some.
    let named = Set(sources.sources.prefix(sources.hashes.count))
    for (address, client) in clients where !named.contains(address) {
      client.stop()
      clients[address] = nil
    }
    for address in named where address != own && clients[address] == nil {
      // Who cannot be connected to is asked for nothing.
      clients[address] = try? connect(address)
    }
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
