/// Consecutive slices of one step, by index.
public struct SliceRange: Hashable, Sendable {
  public var first: Int
  public var count: Int
  public init(first: Int, count: Int) {
    self.first = first
    self.count = count
  }
  public var indices: Range<Int> { first..<(first + count) }
}
