import Numerics

/// One step's blocks: which row stands at which position of which block.
///
/// A keyed permutation of the memory's slots is cut into blocks of `blockSize`; the step uses the first `blockCount` of
/// them. It follows from the run's seed and the step alone, so that asking for a block takes a few numbers, not a list.
public struct BlockPlan: Sendable {
  public let window: MemoryWindow
  /// N: rows in a block; divides `window.size`.
  public let blockSize: Int
  /// n: blocks that the step uses.
  public let blockCount: Int
  private let order: KeyedPermutation

  /// - Parameter blocksPerStep: 1...window.size / blockSize.
  public init(window: MemoryWindow, blockSize: Int, blocksPerStep: Int, seed: UInt64, step: Int) {
    invariant(blockSize > 0 && window.size % blockSize == 0, "blocks of \(blockSize) in \(window.size) slots")
    invariant(blocksPerStep > 0 && blocksPerStep <= window.size / blockSize, "\(blocksPerStep) blocks a step")
    self.window = window
    self.blockSize = blockSize
    blockCount = blocksPerStep
    order = KeyedPermutation(count: window.size, seed: seed, purpose: .memoryOrder, index: UInt64(step))
  }

  public func slot(block: Int, position: Int) -> Int {
    invariant(block >= 0 && block < blockCount && position >= 0 && position < blockSize)
    return order[block * blockSize + position]
  }

  public func row(block: Int, position: Int) -> Int {
    window.row(inSlot: slot(block: block, position: position))
  }
}
