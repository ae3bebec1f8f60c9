import Networks

/// Bytes that an evaluation takes, known before it begins.
public struct EvaluationMemory: Sendable {
  private let network: FrozenNetwork
  private let bank: Int
  private let queries: Int
  private let kept: Int

  /// - Parameters:
  ///   - bank: pictures that vote.
  ///   - queries: pictures that are asked.
  ///   - counts: neighbours that vote.
  public init(of network: FrozenNetwork, bank: Int, queries: Int, counts: [Int]) {
    self.network = network
    self.bank = bank
    self.queries = queries
    kept = min(counts.max() ?? 1, bank)
  }

  /// With so many threads. Pictures as large as their files have them, while one is decoded, are not in it.
  public func bytes(threads: Int) -> Int {
    let architecture = network.architecture
    let (side, float) = (architecture.imageSize, 4)
    let weights = 2 * network.layout.count * float
    // 1. Features of both sides, and what a thread works with to make and compare them.
    let features = (bank + queries) * architecture.embedDim * float
    let workspace =
      BackboneWorkspace.floatCount(
        architecture, maximumImages: FrozenNetwork.together, side: side, keepsActivations: false)
      + FrozenNetwork.together * 3 * side * side
    let votes =
      NearestNeighbors.queriesTogether * (NearestNeighbors.bankTogether * float + kept * Nearest.bytes)
    let ofFeatures = features + threads * max(workspace * float, votes)
    // 2. Pixels: a pass's queries, and a thread's tile of the bank.
    let asked = min(queries, PixelNeighbors.queriesAPass(side: side))
    let tile = PixelNeighbors.together * (3 * side * side + 2 * PixelNeighbors.columns * float + asked * float)
    let ofPixels = asked * (3 * side * side + kept * Nearest.bytes) + threads * tile
    return weights + max(ofFeatures, ofPixels)
  }

  /// Threads that fit, at most so many as there are cores.
  /// - Throws: `EvaluationError.tooLarge` if not even one does.
  public func threads(atMost cores: Int, available: Int) throws(EvaluationError) -> Int {
    for threads in stride(from: max(cores, 1), to: 0, by: -1) where bytes(threads: threads) <= available {
      return threads
    }
    throw .tooLarge(needed: bytes(threads: 1), available: available)
  }
}
