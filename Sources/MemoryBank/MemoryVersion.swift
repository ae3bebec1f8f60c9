/// The memory of one step of a run: with the run's `MemoryKeys` it says which row is at which position of which block.
public struct MemoryVersion: Hashable, Sendable {
  public var step: Int
  /// Rows enqueued before the step.
  public var rows: Int
  /// Rows below it are seeded, not stored.
  public var floor: Int

  public init(step: Int, rows: Int, floor: Int = 0) {
    self.step = step
    self.rows = rows
    self.floor = floor
  }
}
