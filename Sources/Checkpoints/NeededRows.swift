/// The memory rows that a run's checkpoints need, each its window's stored ones.
public struct NeededRows: Equatable, Sendable {
  /// Of those that make way for newer ones.
  public var recent: [Range<Int>] = []
  /// Of those that are kept for good with their rows.
  public var keptForGood: [Range<Int>] = []

  public init() {}

  /// Rows below this are needed by none of the recent ones; nil without any.
  public var oldestOfRecent: Int? { recent.map(\.lowerBound).min() }

  /// Rows below this are needed by none at all; nil without any.
  public var oldest: Int? { (recent + keptForGood).map(\.lowerBound).min() }

  /// All of them were written with the rows below this enqueued; nil without any.
  public var settled: Int? { (recent + keptForGood).map(\.upperBound).min() }
}
