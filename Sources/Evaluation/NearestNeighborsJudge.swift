import Networks
import Numerics

/// Judges a network's features by k-NN, beside the same network's before its first step, and the pixels themselves.
public struct NearestNeighborsJudge: Sendable {
  private let frozen: FrozenFeatures
  private let bank: LabelledPictures
  private let queries: LabelledPictures
  /// Of the queries, in the bank's words.
  private let truth: [Int?]
  private let neighbors: NearestNeighbors

  /// What pictures are turned into, in the order in which it is wanted.
  public enum Source: String, CaseIterable, Sendable {
    case trained, untrained, pixels
  }

  /// What one source comes to.
  public struct Row: Sendable {
    public let source: Source
    /// One for each count of neighbours.
    public let accuracies: [Double]
    public let voters: Int
    public let asked: Int
    /// In the order of the folders.
    public let skippedOfBank: [SkippedPicture]
    public let skippedOfQueries: [SkippedPicture]
  }

  /// - Parameter counts: neighbours that vote, one result for each.
  public init(_ frozen: FrozenFeatures, bank: LabelledPictures, queries: LabelledPictures, counts: [Int]) {
    self.frozen = frozen
    self.bank = bank
    self.queries = queries
    truth = queries.classes(among: bank.names)
    neighbors = NearestNeighbors(counts: counts, classes: bank.classes, classCount: bank.names.count)
  }

  /// Queries of classes that the bank has not: none of them can be right.
  public var strangers: Int { truth.count { $0 == nil } }

  private var side: Int { frozen.network.architecture.imageSize }

  /// Pictures that a row reads, those that are read again included.
  public func reads(_ source: Source) -> Int {
    source == .pixels
      ? PixelNeighbors.reads(bank: bank.count, queries: queries.count, side: side) : bank.count + queries.count
  }

  /// - Parameter done: told how many more pictures were read, by any thread.
  /// - Throws: `EvaluationError.nothingLeft` if no picture of a folder can be read; what `features` throws.
  public func row(_ source: Source, done: @Sendable (Int) -> Void = { _ in }) throws -> Row {
    switch source {
    case .trained: try row(source, of: .trained, done)
    case .untrained: try row(source, of: .untrained, done)
    case .pixels:
      try row(
        source,
        PixelNeighbors(
          neighbors, frozen.network.normalization, side: side, upright: frozen.network.configuration.exifOrientation
        )
        .score(bank: bank, queries: queries, truth: truth, threads: frozen.threads, done: done))
    }
  }

  private func row(_ source: Source, of network: FrozenFeatures.Source, _ done: @Sendable (Int) -> Void) throws -> Row {
    let voters = try frozen.rows(of: bank.selection, network, done: done).scaledToUnitLength()
    let asked = try frozen.rows(of: queries.selection, network, done: done).scaledToUnitLength()
    return try row(source, bank: voters, queries: asked)
  }

  /// A row of features, of unit length, that are there already.
  package func row(_ source: Source, bank voters: FeatureRows, queries asked: FeatureRows) throws -> Row {
    let score = try neighbors.score(bank: voters, queries: asked, truth: truth, threads: frozen.threads)
    return try row(source, (score, voters.skipped, asked.skipped))
  }

  private func row(
    _ source: Source,
    _ found: (score: NearestNeighbors.Score, bank: [Int: SkippedPicture], queries: [Int: SkippedPicture])
  ) throws -> Row {
    let skipped = (try bank.selection.inOrder(found.bank), try queries.selection.inOrder(found.queries))
    return Row(
      source: source, accuracies: found.score.accuracies, voters: bank.count - skipped.0.count,
      asked: found.score.asked, skippedOfBank: skipped.0, skippedOfQueries: skipped.1)
  }
}
