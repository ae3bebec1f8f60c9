import Networks
import Numerics

/// Judges a network's features by k-NN, beside the same network's before its first step, and the pixels themselves.
public struct NearestNeighborsJudge: Sendable {
  private let network: FrozenNetwork
  private let bank: LabelledPictures
  private let queries: LabelledPictures
  /// Of the queries, in the bank's words.
  private let truth: [Int?]
  private let neighbors: NearestNeighbors
  private let threads: Int

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
  public init(
    network: FrozenNetwork, bank: LabelledPictures, queries: LabelledPictures, counts: [Int], threads: Int
  ) {
    self.network = network
    self.bank = bank
    self.queries = queries
    self.threads = threads
    truth = queries.classes(among: bank.names)
    neighbors = NearestNeighbors(counts: counts, classes: bank.classes, classCount: bank.names.count)
  }

  /// Queries of classes that the bank has not: none of them can be right.
  public var strangers: Int { truth.count { $0 == nil } }

  /// Pictures that a row reads, those that are read again included.
  public func reads(_ source: Source) -> Int {
    source == .pixels
      ? PixelNeighbors.reads(bank: bank.count, queries: queries.count, side: network.architecture.imageSize)
      : bank.count + queries.count
  }

  /// - Parameter done: told how many more pictures were read, by any thread.
  /// - Throws: `EvaluationError.nothingLeft` if no picture of a folder can be read; what `features` throws.
  public func row(_ source: Source, done: @Sendable (Int) -> Void = { _ in }) throws -> Row {
    switch source {
    case .trained: try row(source, network.parameters, done)
    case .untrained: try row(source, network.untrained, done)
    case .pixels:
      try row(
        source,
        PixelNeighbors(neighbors, network.normalization, side: network.architecture.imageSize)
          .score(bank: bank, queries: queries, truth: truth, threads: threads, done: done))
    }
  }

  private func row(_ source: Source, _ parameters: FloatBuffer, _ done: @Sendable (Int) -> Void) throws -> Row {
    let voters = try network.features(of: bank, parameters, threads: threads, done: done)
    let asked = try network.features(of: queries, parameters, threads: threads, done: done)
    let score = try neighbors.score(bank: voters, queries: asked, truth: truth, threads: threads)
    return try row(source, (score, voters.skipped, asked.skipped))
  }

  private func row(
    _ source: Source,
    _ found: (score: NearestNeighbors.Score, bank: [Int: SkippedPicture], queries: [Int: SkippedPicture])
  ) throws -> Row {
    let sides = try [(bank, found.bank), (queries, found.queries)].map { pictures, skipped in
      let inOrder = skipped.keys.sorted().compactMap { skipped[$0] }
      if inOrder.count == pictures.count, let first = inOrder.first {
        throw EvaluationError.nothingLeft(
          folder: pictures.dataSet.root, skipped: inOrder.count, first: first.description)
      }
      return inOrder
    }
    return Row(
      source: source, accuracies: found.score.accuracies, voters: bank.count - sides[0].count,
      asked: found.score.asked, skippedOfBank: sides[0], skippedOfQueries: sides[1])
  }
}
