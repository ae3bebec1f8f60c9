import Numerics

/// Finding the original of an altered copy, as DINO does on Copydays: each copy ranks originals and distractors by cosine,
/// and the mean average precision says how high its original stands.
public struct CopyDetection: Sendable {
  /// Of all copies, or of those that were altered in one way.
  public struct Row: Equatable, Sendable {
    /// Nil of all.
    public let kind: String?
    public let figures: RetrievalFigures
  }

  /// - Parameters:
  ///   - copies: of unit length, a row each of `pairs.copies`.
  ///   - bank: of unit length: a row each of `pairs.originals`, then the distractors.
  /// - Returns: each kind's row, in the order of their names, where there are several; then that of all.
  public static func rows(
    _ pairs: CopyPairs, copies: FeatureRows, bank: FeatureRows, threads: Int, done: @Sendable (Int) -> Void = { _ in }
  ) throws -> [Row] {
    invariant(copies.count == pairs.copies.count && bank.count >= pairs.originals.count)
    let judged = try Retrieval(queries: copies, bank: bank).rankings(threads: threads, done: done) { copy, picture in
      pairs.owners[copy] == picture ? .relevant : .irrelevant
    } judge: { _, ranking in
      ranking
    }
    func figures(_ isCounted: (Int) -> Bool) -> RetrievalFigures {
      var figures = RetrievalFigures()
      for (copy, ranking) in judged.enumerated() where isCounted(copy) {
        guard let ranking else { continue }
        let precision = ranking.positions.isEmpty ? nil : ranking.trapezoidalAveragePrecision(relevant: 1)
        figures.add(ranking, averagePrecision: precision)
      }
      return figures
    }
    let kinds = Set(pairs.kinds).sorted()
    let rows =
      kinds.count > 1 ? kinds.map { kind in Row(kind: kind, figures: figures { pairs.kinds[$0] == kind }) } : []
    return rows + [Row(kind: nil, figures: figures { _ in true })]
  }
}
