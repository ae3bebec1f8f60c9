import Numerics
import Synchronization

/// The field's k-NN classifier on frozen features.
///
/// A query's class is the one with the largest sum of exp(cosine / 0.07) over the k nearest pictures of the bank.
public struct NearestNeighbors: Sendable {
  /// Neighbours that vote, one result for each; all of the bank's if it has fewer.
  public let counts: [Int]
  /// Of the bank's pictures, each below `classCount`.
  let classes: [Int]
  private let classCount: Int

  static let temperature: Float = 0.07
  /// Queries compared in one product: tall enough for BLAS's full speed.
  static let queriesTogether = 128
  /// Rows of the bank that they are compared with at once.
  static let bankTogether = 1024

  public init(counts: [Int], classes: [Int], classCount: Int) {
    invariant(counts.allSatisfy { $0 > 0 } && !classes.isEmpty)
    self.counts = counts
    self.classes = classes
    self.classCount = classCount
  }

  /// Neighbours that are kept of each query.
  var kept: Int { min(counts.max() ?? 1, classes.count) }

  /// How many queries got their own class, for each of `counts`, and how many were asked.
  public struct Score: Equatable, Sendable {
    public internal(set) var right: [Int]
    public internal(set) var asked = 0

    init(counts: Int) { right = [Int](repeating: 0, count: counts) }

    /// The share that is right, for each of the counts.
    public var accuracies: [Double] { right.map { Double($0) / Double(asked) } }
  }

  /// - Parameters:
  ///   - bank: a row of unit length for each of `classes`; skipped ones do not vote.
  ///   - queries: of unit length.
  ///   - truth: one a query; nil for a class that the bank has not: such a query is never right.
  public func score(bank: FeatureRows, queries: FeatureRows, truth: [Int?], threads: Int) throws -> Score {
    invariant(queries.count == truth.count)
    let score = Mutex(Score(counts: counts.count))
    try forEachQuery(bank: bank, queries: queries, threads: threads) { query, nearest in
      score.withLock { add(nearest, truth: truth[query], to: &$0) }
    }
    return score.withLock { $0 }
  }

  /// Gives each query that was not skipped, in any order and on any thread, with its nearest of the bank.
  func forEachQuery(
    bank: FeatureRows, queries: FeatureRows, threads: Int, _ body: @Sendable (_ query: Int, _ nearest: Nearest) -> Void
  ) throws {
    invariant(bank.count == classes.count && bank.width == queries.width)
    let tiles = (queries.count + Self.queriesTogether - 1) / Self.queriesTogether
    try SharedWork(pieces: tiles).run(threads: threads) { next in
      let memory = FloatBuffer(count: Self.queriesTogether * Self.bankTogether)
      while let tile = next() {
        let range = tile * Self.queriesTogether..<min((tile + 1) * Self.queriesTogether, queries.count)
        var nearest = range.map { _ in Nearest(atMost: kept) }
        for start in stride(from: 0, to: bank.count, by: Self.bankTogether) {
          let voters = start..<min(start + Self.bankTogether, bank.count)
          let similarities = memory.matrix(rows: range.count, columns: voters.count)
          multiply(queries.matrix.rows(range), .asIs, bank.matrix.rows(voters), .transposed, into: similarities)
          for row in nearest.indices {
            nearest[row].offer(similarities.row(at: row), from: start) { bank.skipped[$0] == nil }
          }
        }
        for query in range where queries.skipped[query] == nil { body(query, nearest[query - range.lowerBound]) }
      }
    }
  }

  /// Counts one query.
  func add(_ nearest: Nearest, truth: Int?, to score: inout Score) {
    let sorted = nearest.sorted()
    score.asked += 1
    for (place, count) in counts.enumerated() where truth != nil && vote(sorted.prefix(count)) == truth {
      score.right[place] += 1
    }
  }

  func vote(_ nearest: ArraySlice<Nearest.Neighbor>) -> Int {
    var votes = [Float](repeating: 0, count: classCount)
    for neighbor in nearest { votes[classes[neighbor.index]] += exponential(neighbor.similarity / Self.temperature) }
    return votes.indices.max { votes[$0] < votes[$1] } ?? 0
  }
}

/// The nearest pictures of those that were offered, in whatever order: of equally near ones the first in the bank.
package struct Nearest: Sendable {
  package struct Neighbor: Equatable, Sendable {
    package var similarity: Float
    package var index: Int

    func isNearer(than other: Neighbor) -> Bool {
      similarity == other.similarity ? index < other.index : similarity > other.similarity
    }
  }

  /// Bytes of one that is kept.
  static let bytes = MemoryLayout<Neighbor>.stride

  private let limit: Int
  /// A heap: each is nearer than the one at half its place, so that the farthest is the first.
  private var heap: [Neighbor] = []

  package init(atMost limit: Int) { self.limit = limit }

  /// Offers neighbouring pictures of the bank.
  /// - Parameter votes: whether a picture may be kept; asked only if it is near enough.
  /// - Complexity: one comparison for most, O(log limit) for those that are kept.
  mutating func offer(_ similarities: Vector, from first: Int, where votes: (Int) -> Bool) {
    similarities.buffer.withBytes(of: similarities.offset..<similarities.offset + similarities.count) { bytes in
      for (place, similarity) in bytes.bindMemory(to: Float.self).enumerated() {
        if heap.count == limit, similarity < heap[0].similarity { continue }
        if votes(first + place) { offer(first + place, similarity: similarity) }
      }
    }
  }

  package mutating func offer(_ index: Int, similarity: Float) {
    let neighbor = Neighbor(similarity: similarity, index: index)
    if heap.count < limit {
      heap.append(neighbor)
      var place = heap.count - 1
      while place > 0, heap[(place - 1) / 2].isNearer(than: heap[place]) {
        heap.swapAt(place, (place - 1) / 2)
        place = (place - 1) / 2
      }
    } else if neighbor.isNearer(than: heap[0]) {
      heap[0] = neighbor
      sink()
    }
  }

  private mutating func sink() {
    var place = 0
    while true {
      var farthest = place
      for child in [2 * place + 1, 2 * place + 2] where child < heap.count {
        if heap[farthest].isNearer(than: heap[child]) { farthest = child }
      }
      if farthest == place { return }
      heap.swapAt(place, farthest)
      place = farthest
    }
  }

  /// Nearest first.
  package func sorted() -> [Neighbor] { heap.sorted { $0.isNearer(than: $1) } }
}
