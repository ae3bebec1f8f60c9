/// What decides which rows a step's blocks have: whoever knows these few numbers can work out any block of any step.
public struct MemoryKeys: Hashable, Sendable {
  /// K: slots of the memory.
  public var size: Int
  /// N: rows in a block.
  public var blockSize: Int
  public var blocksPerStep: Int
  /// Slots that are drawn together.
  public var granule: Int
  /// The run's.
  public var seed: UInt64

  public init(size: Int, blockSize: Int, blocksPerStep: Int, granule: Int, seed: UInt64) {
    self.size = size
    self.blockSize = blockSize
    self.blocksPerStep = blocksPerStep
    self.granule = granule
    self.seed = seed
  }

  /// Which rows are in which block of a step.
  public func blockDraw(of version: MemoryVersion) -> BlockDraw {
    BlockDraw(
      window: MemoryWindow(size: size, rows: version.rows, floor: version.floor), blockSize: blockSize,
      blocksPerStep: blocksPerStep, granule: granule, seed: seed, step: version.step)
  }
}
