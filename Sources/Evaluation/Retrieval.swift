import Numerics
import Synchronization

/// Ranks a bank of pictures by cosine for each of many queries.
public struct Retrieval: Sendable {
  private let queries: FeatureRows
  private let bank: FeatureRows

  /// Similarities that a thread holds.
  static let floatsTogether = 1 << 24
  /// Queries of one product, at most.
  static let queriesTogether = 128

  /// - Parameters: of unit length; skipped ones are neither asked nor found.
  public init(queries: FeatureRows, bank: FeatureRows) {
    invariant(queries.width == bank.width)
    self.queries = queries
    self.bank = bank
  }

  static func together(bank: Int) -> Int { max(1, min(queriesTogether, floatsTogether / bank)) }

  /// Calls `judge` with each query's ranking.
  /// - Parameters:
  ///   - relevance: of a picture of the bank to a query, by their places.
  ///   - done: told how many more queries were asked, by any thread.
  /// - Returns: what `judge` gave, in the order of the queries; nil for those that were skipped.
  public func rankings<Judged: Sendable>(
    threads: Int, done: @Sendable (Int) -> Void = { _ in },
    relevance: @Sendable (_ query: Int, _ picture: Int) -> Relevance,
    judge: @Sendable (_ query: Int, Ranking) -> Judged
  ) throws -> [Judged?] {
    let together = Self.together(bank: bank.count)
    let tiles = (queries.count + together - 1) / together
    let found = Mutex([[Judged?]](repeating: [], count: tiles))
    try SharedWork(pieces: tiles).run(threads: threads) { next in
      let memory = FloatBuffer(count: together * bank.count)
      while let tile = next() {
        let range = tile * together..<min((tile + 1) * together, queries.count)
        let similarities = memory.matrix(rows: range.count, columns: bank.count)
        multiply(queries.matrix.rows(range), .asIs, bank.matrix, .transposed, into: similarities)
        let judged = range.map { query -> Judged? in
          guard queries.skipped[query] == nil else { return nil }
          let first = (query - range.lowerBound) * bank.count
          return memory.withBytes(of: first..<first + bank.count) { bytes in
            let ranking = Ranking(bytes.bindMemory(to: Float.self)) { picture in
              bank.skipped[picture] == nil ? relevance(query, picture) : .junk
            }
            return judge(query, ranking)
          }
        }
        found.withLock { $0[tile] = judged }
        done(range.count)
      }
    }
    return found.withLock { $0.flatMap(\.self) }
  }

  /// Pictures of the same class are relevant; a query of a class that the bank has not counts as one without any.
  /// - Parameters:
  ///   - classes: of the bank's pictures.
  ///   - truth: of the queries, in the same numbers.
  ///   - own: of each query, its own place in the bank: no picture finds itself. Nil where queries are other pictures.
  public func byClass(
    _ classes: [Int], truth: [Int?], own: [Int?]? = nil, threads: Int, done: @Sendable (Int) -> Void = { _ in }
  ) throws -> RetrievalFigures {
    let judged = try rankings(threads: threads, done: done) { query, picture in
      if let own, own[query] == picture { return .junk }
      return classes[picture] == truth[query] ? .relevant : .irrelevant
    } judge: { _, ranking in
      (ranking, ranking.positions.isEmpty ? nil : ranking.averagePrecision)
    }
    var figures = RetrievalFigures()
    for case (let ranking, let precision)? in judged { figures.add(ranking, averagePrecision: precision) }
    return figures
  }

  /// Relevance is a list's: each protocol's figures.
  public func byGroundTruth(
    _ truth: RetrievalGroundTruth, threads: Int, done: @Sendable (Int) -> Void = { _ in }
  ) throws -> [(level: RetrievalGroundTruth.Level, figures: RetrievalFigures)] {
    try RetrievalGroundTruth.Level.allCases.map { level in
      let roles = truth.queries.map { $0.roles(level) }
      let judged = try rankings(threads: threads, done: done) { query, picture in
        roles[query][picture] ?? .irrelevant
      } judge: { query, ranking in
        // Those that were skipped are none that could be found.
        let relevant = roles[query].count { $0.value == .relevant && bank.skipped[$0.key] == nil }
        return (ranking, relevant > 0 ? ranking.trapezoidalAveragePrecision(relevant: relevant) : nil)
      }
      var figures = RetrievalFigures()
      for case (let ranking, let precision)? in judged { figures.add(ranking, averagePrecision: precision) }
      return (level, figures)
    }
  }
}

// MARK: - Memory

extension EvaluationMemory.Work {
  public static func retrieval(bank: Int) -> Self {
    // Similarities, and the lists of one ranking.
    Self(shared: 0, eachThread: 4 * Retrieval.together(bank: bank) * bank + 16 * bank)
  }
}
