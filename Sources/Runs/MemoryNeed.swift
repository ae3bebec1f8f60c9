import Evaluation
import Machine
import Messages
import Training

/// The memory that processes of a run cannot do without, by what it is for.
///
/// Row caches are not in it: they take what there is, up to their bound.
public struct MemoryNeed: Sendable, Equatable {
  public struct Share: Sendable, Equatable {
    /// For people, with the keys that it follows from.
    public let content: String
    public let bytes: Int
  }

  public let shares: [Share]

  public var bytes: Int { shares.reduce(0) { $0 + $1.bytes } }

  /// The program itself, its libraries and its threads.
  private static let programBytes = 40 << 20

  private static let weightsOnTheirWay = Share(
    content: "weights on their way to other workers (--listen)",
    bytes: WireLimits.weightFramesAnswered * WireLimits.bulkBytes)

  /// As they arrive and as they are added up; one of each slice's gradient at least.
  private static func gradientsAddedUp(of definition: RunDefinition) -> Share {
    let aChunk = definition.slices * WireLimits.gradientChunkFloats * MemoryLayout<Float>.stride
    let all = definition.slices * definition.weightBytes
    return Share(
      content: "chunks of other workers' gradients, which it adds up (--listen)",
      bytes: 2 * min(all, max(WireLimits.gradientBytesPulled, aChunk)))
  }

  /// A teacher that outlives its step, features, what they are made in, and matrices of doubles to judge them.
  private static func evaluation(of definition: RunDefinition) -> [Share] {
    guard definition.configuration.evaluateEverySteps > 0 else { return [] }
    let (width, images) = (definition.architecture.embedDim, definition.configuration.evaluateImages)
    let floats = PictureSample.floats(of: definition, sample: images) + images * (width + 128)
    return [
      Share(
        content: "the judgement of features (evaluate_every_steps, evaluate_images, image_size)",
        bytes: definition.weightBytes + 4 * floats + 8 * (6 * width * width + 2 * 1024 * width))
    ]
  }

  private init(_ shares: [Share]) { self.shares = shares }

  /// Of a coordinator: weights and moments, those of the next step, and a gradient.
  public static func coordinator(of definition: RunDefinition) -> MemoryNeed {
    let version = 2 + definition.optimizer.rule.momentNames.count
    return MemoryNeed([
      Share(
        content: "the network's weights, moments and gradient (embed_dim, depth, head_hidden_dim)",
        bytes: (2 * version + 1) * definition.weightBytes),
      Share(content: "the program", bytes: programBytes),
    ])
  }

  /// Of a worker of so many threads: weights, a gradient for each thread, what they compute in, and blocks.
  /// - Parameter givesWeights: other workers fetch weights and gradients from it, and it adds gradients up.
  public static func worker(of definition: RunDefinition, threads: Int, givesWeights: Bool = false) -> MemoryNeed {
    let busy = min(threads, definition.slices)
    return MemoryNeed(
      [
        Share(
          content: "the network's weights and a gradient for each thread (embed_dim, depth, head_hidden_dim)",
          bytes: (2 + busy) * definition.weightBytes + 2 * 4 * definition.roundedWeightFloats),
        Share(
          content: "the slices that \(busy) \(busy == 1 ? "thread computes" : "threads compute") at once (--threads, "
            + "slice_size, image_size, local_views_per_group)",
          bytes: busy * 4 * definition.workFloats),
        // The next step's are gathered beside.
        Share(
          content: "a step's blocks (block_size, blocks_per_step)",
          bytes: (definition.lastStep > 1 ? 2 : 1) * 4 * definition.blockFloats),
        Share(content: "the program", bytes: programBytes),
      ] + evaluation(of: definition) + (givesWeights ? [weightsOnTheirWay, gradientsAddedUp(of: definition)] : []))
  }

  /// Of processes that run beside each other.
  public static func + (left: MemoryNeed, right: MemoryNeed) -> MemoryNeed { MemoryNeed(left.shares + right.shares) }

  /// Refuses what cannot fit, before it is asked for.
  /// - Parameter who: what needs it, in the words of `RunError.tooLarge`.
  /// - Throws: `RunError.tooLarge`.
  public func check(_ allowance: Allowance, who: String = "This process") throws(RunError) {
    guard bytes > allowance.memory.usable else { return }
    throw .tooLarge(who: who, need: self, memory: allowance.memory)
  }

  /// Gradients that a worker may keep for others: in a quarter of what is left for caches.
  public static func gradientRoom(of definition: RunDefinition, in rest: Int) -> Int {
    min(WireLimits.gradientsKept, rest / 4 / definition.weightBytes)
  }

  /// Of so many gradients.
  public static func gradientBytes(of definition: RunDefinition, _ count: Int) -> Int {
    count * definition.weightBytes
  }

  /// What of the allowed memory is left for caches.
  public func rest(of allowance: Allowance) -> Int { max(0, allowance.memory.usable - bytes) }
}

extension RunDefinition {
  fileprivate var weightBytes: Int { 4 * layout.count }
}
