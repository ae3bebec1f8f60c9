import Numerics

/// One step's blocks: which row stands at which position of which block.
///
/// The memory's slots are taken in granules of neighbouring ones; a keyed permutation of the granules is cut into blocks
/// of `blockSize` slots, and the step uses the first `blockCount` of them. It follows from the run's seed and the step alone, so that asking for a block takes a few numbers, not a list.
public struct BlockDraw: Sendable {
  public let window: MemoryWindow
  /// N: rows in a block; divides `window.size`.
  public let blockSize: Int
  /// n: blocks that the step uses.
  public let blockCount: Int
  /// Slots that are drawn together; divides `blockSize`. Larger ones make fewer and longer reads, and blocks whose rows
  /// are less mixed.
  public let granule: Int
  private let order: KeyedPermutation

  /// - Parameter blocksPerStep: 1...window.size / blockSize.
  public init(
    window: MemoryWindow, blockSize: Int, blocksPerStep: Int, granule: Int = 1, seed: UInt64, step: Int
  ) {
    invariant(granule > 0 && blockSize % granule == 0, "granules of \(granule) in blocks of \(blockSize)")
    invariant(blockSize > 0 && window.size % blockSize == 0, "blocks of \(blockSize) in \(window.size) slots")
    invariant(blocksPerStep > 0 && blocksPerStep <= window.size / blockSize, "\(blocksPerStep) blocks a step")
    self.window = window
    self.blockSize = blockSize
    blockCount = blocksPerStep
    self.granule = granule
    order = KeyedPermutation(count: window.size / granule, seed: seed, purpose: .memoryOrder, index: UInt64(step))
  }

  public func slot(block: Int, position: Int) -> Int {
    invariant(block >= 0 && block < blockCount && position >= 0 && position < blockSize)
    let place = block * blockSize + position
    // Most memories have granules of one: those save a division.
    return granule == 1 ? order[place] : order[place / granule] * granule + place % granule
  }

  public func row(block: Int, position: Int) -> Int {
    window.row(inSlot: slot(block: block, position: position))
  }

  /// The rows at many positions of a block, in their order: several times faster than one by one.
  public func rows(block: Int, at positions: [Int]) -> [Int] {
    invariant(block >= 0 && block < blockCount)
    let places = positions.map { position in
      invariant(position >= 0 && position < blockSize)
      return block * blockSize + position
    }
    guard granule > 1 else { return window.rows(inSlots: order.elements(at: places)) }
    // Each granule is drawn once where neighbours are asked for.
    var granules: [Int] = []
    for place in places where granules.last != place / granule { granules.append(place / granule) }
    let drawn = order.elements(at: granules)
    var index = 0
    return window.rows(
      inSlots: places.map { place in
        if place / granule != granules[index] { index += 1 }
        return drawn[index] * granule + place % granule
      })
  }
}
