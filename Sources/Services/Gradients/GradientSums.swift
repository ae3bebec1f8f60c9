import Messages
import Numerics
import Slices

/// Adds chunks of a step's gradient up over all nodes that have one, in the order of the step's tree: the bits are those of
/// a sum of whole gradients, whoever adds.
///
/// Chunks are pulled a window at a time. A reducer holds a window of parts, whatever the network's size and the number of
/// workers, and for each of its chunks at most one part a node that waits for its sibling.
package struct GradientSums {
  /// Who has a node's gradient.
  package enum Source {
    /// It is here.
    case here(FloatBuffer)
    /// The best first; not empty.
    case clients([BulkClient])
  }

  /// What of a gradient that workers keep can be asked of whom.
  /// - Throws: `Failure` if there is a connection to none of them.
  static func source(of gradient: Reduction.Gradient, among clients: WorkerClients) throws -> Source {
    let holders = gradient.holders.compactMap { clients[$0] }
    guard holders.isEmpty else { return .clients(holders) }
    let places = gradient.holders.map { "\($0.endpoint)" }.joined(separator: ", ")
    throw Failure(slices: gradient.slices, isNotFinite: false, reason: "no connection to \(places)")
  }

  /// Why chunks cannot be added up: for want of this node's gradient.
  package struct Failure: Error {
    package let slices: SliceRange
    /// It is as its hash says, and has a float that is not finite.
    package let isNotFinite: Bool
    package let reason: String
  }

  /// A holder is silent for so long at most, though many ask it at a time over one link: it answers them in turn.
  private static let kind = PieceFetch.Kind(patience: .seconds(2), endsWithSlow: true) { .gradientsUnavailable($0) }

  private let tree: SliceTree
  /// Floats of a gradient.
  private let parameters: Int
  /// Of a chunk each.
  private var buffers = BufferPool(count: WireLimits.gradientChunkFloats)

  package init(tree: SliceTree, parameters: Int) {
    self.tree = tree
    self.parameters = parameters
  }

  /// - Parameters:
  ///   - source: who has a gradient.
  ///   - check: called again and again; throws once the sums are of no use any more.
  ///   - take: takes each chunk's sum, its floats the first so many of the buffer; once it lets go of that it is used again.
  /// - Precondition: the reduction is one that `LeaseBounds` finds nothing wrong with.
  /// - Throws: `Failure`; what `source`, `check` and `take` throw.
  package mutating func add(
    _ reduction: Reduction, from source: (Reduction.Gradient) throws -> Source, unless check: () throws -> Void,
    take: (_ chunk: Int, FloatBuffer, _ count: Int) throws -> Void
  ) throws {
    let parts = try reduction.gradients.map { Part(gradient: $0, source: try source($0)) }
    let hashes = try hashes(of: parts, in: reduction.step, unless: check)
    let aChunk = parts.count * WireLimits.gradientChunkFloats * MemoryLayout<Float>.stride
    let window = max(1, WireLimits.gradientBytesPulled / aChunk)
    for first in stride(from: 0, to: reduction.chunks.count, by: window) {
      let chunks = reduction.chunks[first..<min(reduction.chunks.count, first + window)]
      try add(Array(chunks), of: parts, hashes, in: reduction.step, unless: check, take)
    }
  }

  private struct Part {
    let gradient: Reduction.Gradient
    let source: Source
  }

  /// By node: one a chunk.
  private typealias Hashes = [SliceRange: [ContentHash]]

  /// As the announced hashes say. Of what is here, or at the coordinator, there are none.
  private func hashes(of parts: [Part], in step: Int, unless check: () throws -> Void) throws -> Hashes {
    let count = GradientChunk.count(ofFloats: parameters)
    var all: Hashes = [:]
    var (asked, pieces): ([Reduction.Gradient], [PieceFetch.Piece]) = ([], [])
    for part in parts where part.gradient.hash != nil {
      guard case .clients(let holders) = part.source else { continue }
      asked.append(part.gradient)
      pieces.append(
        PieceFetch.Piece(request: .gradientHashes(step: step, slices: part.gradient.slices), holders: holders))
    }
    try run(pieces, { asked[$0].slices }, unless: check) { piece, reply, frame, endpoint in
      let gradient = asked[piece]
      guard reply == .gradientHashes(step: step, slices: gradient.slices),
        let hashes = frame?.withBytes({ ContentHash.hashes(in: $0, count: count) }),
        ContentHash(of: hashes) == gradient.hash
      else { throw BulkError.otherBits("the hashes of a gradient", from: endpoint) }
      all[gradient.slices] = hashes
    }
    return all
  }

  private mutating func add(
    _ chunks: [Int], of parts: [Part], _ hashes: Hashes, in step: Int,
    unless check: () throws -> Void, _ take: (Int, FloatBuffer, Int) throws -> Void
  ) throws {
    var sums = Dictionary(uniqueKeysWithValues: chunks.map { ($0, TreeSum<FloatBuffer>(tree: tree)) })
    var buffers = self.buffers
    defer { self.buffers = buffers }
    func insert(_ part: FloatBuffer, of chunk: Int, at node: SliceRange) throws {
      let count = GradientChunk.floats(of: chunk, in: parameters).count
      guard isFinite(part.vector(at: 0, count: count)) else {
        throw Failure(slices: node, isNotFinite: true, reason: "it is not finite")
      }
      sums[chunk]?.insert(part, at: node) { left, right in
        addScaled(right.vector(at: 0, count: count), by: 1, to: left.vector(at: 0, count: count))
        return left
      }
      guard let total = sums[chunk]?.total else { return }
      sums[chunk] = nil
      try take(chunk, total, count)
    }
    var (asked, pieces): ([GradientChunk], [PieceFetch.Piece]) = ([], [])
    for chunk in chunks {
      for part in parts {
        switch part.source {
        case .here(let gradient):
          let range = GradientChunk.floats(of: chunk, in: parameters)
          let copied = buffers.take()
          copy(
            gradient.vector(at: range.lowerBound, count: range.count), into: copied.vector(at: 0, count: range.count))
          try insert(copied, of: chunk, at: part.gradient.slices)
        case .clients(let holders):
          let name = GradientChunk(step: step, slices: part.gradient.slices, chunk: chunk)
          asked.append(name)
          pieces.append(
            PieceFetch.Piece(request: .gradient(name), hash: hashes[name.slices]?[chunk], holders: holders))
        }
      }
    }
    try run(pieces, { asked[$0].slices }, unless: check) { piece, reply, frame, endpoint in
      let name = asked[piece]
      let count = GradientChunk.floats(of: name.chunk, in: parameters).count
      guard reply == .gradient(name), let frame, frame.count == count * MemoryLayout<Float>.stride
      else { throw BulkError.otherBits("a chunk of a gradient", from: endpoint) }
      let part = buffers.take()
      frame.copy(into: part, at: 0)
      try insert(part, of: name.chunk, at: name.slices)
    }
  }

  /// - Parameter node: whose gradient a piece is of.
  private func run(
    _ pieces: [PieceFetch.Piece], _ node: (Int) -> SliceRange, unless check: () throws -> Void, take: PieceFetch.Taker
  ) throws {
    guard !pieces.isEmpty else { return }
    var fetch = PieceFetch(pieces, Self.kind)
    do {
      try fetch.run(unless: check, take: take)
    } catch let error as BulkError {
      guard let failed = fetch.failed else { throw error }
      throw Failure(slices: node(failed), isNotFinite: false, reason: "\(error)")
    }
  }
}
