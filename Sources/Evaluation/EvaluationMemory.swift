import Networks

/// Bytes that an evaluation takes, known before it begins.
public struct EvaluationMemory: Sendable {
  /// What is there at once beside weights and features.
  public struct Work: Sendable {
    let shared: Int
    let eachThread: Int

    /// Both in bytes.
    public init(shared: Int, eachThread: Int) {
      self.shared = shared
      self.eachThread = eachThread
    }
  }

  private let weights: Int
  /// Of the features that are kept from when they are made to the end.
  private let features: Int
  /// One after the other, with the features.
  private let works: [Work]
  /// Without the features.
  private let apart: [Work]

  /// - Parameters:
  ///   - pictures: whose features are there at once.
  ///   - works: what is done with them, one after the other.
  ///   - apart: what is done while there are no features.
  public init(of network: FrozenNetwork, pictures: Int, works: [Work], apart: [Work] = []) {
    let architecture = network.architecture
    let (side, float) = (architecture.imageSize, 4)
    weights = 2 * network.layout.count * float
    features = pictures * architecture.embedDim * float
    let making =
      BackboneWorkspace.floatCount(
        architecture, maximumImages: FrozenNetwork.together, side: side, keepsActivations: false)
      + FrozenNetwork.together * 3 * side * side
    self.works = works + [Work(shared: 0, eachThread: making * float)]
    self.apart = apart
  }

  /// With so many threads. Pictures as large as their files have them, while one is decoded, are not in it.
  public func bytes(threads: Int) -> Int {
    func most(_ works: [Work]) -> Int { works.map { $0.shared + threads * $0.eachThread }.max() ?? 0 }
    return weights + max(features + most(works), most(apart))
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

// MARK: - Nearest neighbours

extension EvaluationMemory {
  /// - Parameters:
  ///   - bank: pictures that vote.
  ///   - queries: pictures that are asked.
  ///   - counts: neighbours that vote.
  public init(of network: FrozenNetwork, bank: Int, queries: Int, counts: [Int]) {
    let (side, float) = (network.architecture.imageSize, 4)
    let kept = min(counts.max() ?? 1, bank)
    let votes = NearestNeighbors.queriesTogether * (NearestNeighbors.bankTogether * float + kept * Nearest.bytes)
    // Pixels: a pass's queries, and a thread's tile of the bank.
    let asked = min(queries, PixelNeighbors.queriesAPass(side: side))
    let tile = PixelNeighbors.together * (3 * side * side + 2 * PixelNeighbors.columns * float + asked * float)
    self.init(
      of: network, pictures: bank + queries, works: [Work(shared: 0, eachThread: votes)],
      apart: [Work(shared: asked * (3 * side * side + kept * Nearest.bytes), eachThread: tile)])
  }
}
