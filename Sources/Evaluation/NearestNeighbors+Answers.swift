import Synchronization

extension NearestNeighbors {
  /// What the bank says of a query.
  public struct Answer: Equatable, Sendable {
    /// The nearest pictures of the bank, the nearest first: their places and cosines.
    public let neighbors: [(place: Int, cosine: Float)]
    /// The class that the largest of `counts` votes for.
    public let voted: Int

    public static func == (left: Answer, right: Answer) -> Bool {
      left.voted == right.voted && left.neighbors.elementsEqual(right.neighbors, by: ==)
    }
  }

  /// The answer to each query; nil to one that was skipped.
  /// - Parameter bank: a row for each of the classes; skipped ones do not vote.
  public func answers(bank: FeatureRows, queries: FeatureRows, threads: Int) throws -> [Answer?] {
    let answers = Mutex([Answer?](repeating: nil, count: queries.count))
    try forEachQuery(bank: bank, queries: queries, threads: threads) { query, nearest in
      let sorted = nearest.sorted()
      let answer = Answer(
        neighbors: sorted.map { ($0.index, $0.similarity) }, voted: vote(sorted[...]))
      answers.withLock { $0[query] = answer }
    }
    return answers.withLock { $0 }
  }
}
