import Numerics

/// One step's blocks: which row stands at which position of which block.
///
/// The memory's slots are taken in granules of neighbouring ones; a keyed permutation of the granules is cut into blocks
/// of `blockSize` slots, and the step uses the first `blockCount` of them. It follows from the run's seed and the step alone, so that asking for a block takes a few numbers, not a list.
public struct BlockPlan: Sendable {
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
    // 1. The granules, each drawn once where neighbours are asked for.
    var places: [Int] = []
    places.reserveCapacity(positions.count)
    for position in positions {
      invariant(position >= 0 && position < blockSize)
      let place = (block * blockSize + position) / granule
      if granule == 1 || places.last != place { places.append(place) }
    }
    let granules = order.elements(at: places)
    // 2. Their slots' rows. The newest row's slot parts the window's latest round from the one before.
    let newest = MemoryWindow.slot(of: window.rows - 1, size: window.size)
    let round = window.rows - 1 - newest
    var rows: [Int] = []
    rows.reserveCapacity(positions.count)
    var index = 0
    for position in positions {
      let place = block * blockSize + position
      if granule > 1, place / granule != places[index] { index += 1 }
      let slot = granule == 1 ? granules[index] : granules[index] * granule + place % granule
      if granule == 1 { index += 1 }
      rows.append(slot <= newest ? round + slot : round + slot - window.size)
    }
    return rows
  }
}
