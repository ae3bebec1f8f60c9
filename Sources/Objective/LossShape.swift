import Numerics

/// The sizes of one slice's loss, fixed for a run.
public struct LossShape: Sendable, Hashable {
  /// Images in the slice.
  public let batch: Int
  /// Images in the global batch, of which the slice is a part.
  public let globalBatch: Int
  /// V: 2 global views, then the local ones.
  public let views: Int
  /// D: floats in an embedding.
  public let width: Int
  /// N: memory rows in a block.
  public let blockSize: Int
  /// n: blocks used in a step.
  public let blockCount: Int

  public init(batch: Int, globalBatch: Int, views: Int, width: Int, blockSize: Int, blockCount: Int) {
    invariant(batch > 0 && globalBatch >= batch && views >= 2, "\(batch) of \(globalBatch) images, \(views) views")
    invariant(width > 0 && blockSize > 0 && blockCount > 0, "\(blockCount) blocks of \(blockSize) x \(width)")
    self.batch = batch
    self.globalBatch = globalBatch
    self.views = views
    self.width = width
    self.blockSize = blockSize
    self.blockCount = blockCount
  }

  /// Pairs of a student view and another view that the teacher sees.
  public var pairs: Int { 2 * views - 2 }
}
