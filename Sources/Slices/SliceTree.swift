/// The fixed binary tree along which a step's slice gradients are added: topology alone, no values.
///
/// A node is a range of consecutive slices; the root holds all of them. A node of n > 1 slices has two children, split
/// at the largest power of two below n, so a leaf is one slice and only nodes on the right edge are not full:
///
///     count = 6                0 ..< 6
///                      0 ..< 4         4 ..< 6
///                  0 ..< 2  2 ..< 4    4    5
///                   0   1    2   3
///
/// A node's sum is its left child's plus its right child's. So the step's sum has the same bits whichever nodes were
/// added up by whom, as long as every lease is a node.
public struct SliceTree: Hashable, Sendable {
  /// Slices in a step, at least 1.
  public let count: Int

  /// - Precondition: `count` is at least 1: the configuration has been checked.
  public init(count: Int) {
    precondition(count >= 1, "a step has at least one slice")
    self.count = count
  }

  /// All slices.
  public var root: SliceRange { SliceRange(first: 0, count: count) }

  /// Whether `range` is a node; any numbers may be asked for, a peer's too. O(log count).
  public func isNode(_ range: SliceRange) -> Bool { path(to: range) != nil }

  /// The two halves of a node, left and right; nil for a single slice.
  /// - Precondition: `node` is a node.
  public func children(of node: SliceRange) -> (left: SliceRange, right: SliceRange)? {
    precondition(isNode(node), "\(node) is no node of a tree of \(count)")
    return SliceTree.halves(of: node)
  }

  /// The node whose child `node` is; nil for the root, and for what is no node. O(log count).
  public func parent(of node: SliceRange) -> SliceRange? { path(to: node)?.parent }

  /// The other child of the parent; nil for the root, and for what is no node. O(log count).
  public func sibling(of node: SliceRange) -> SliceRange? {
    guard let parent = parent(of: node), let halves = SliceTree.halves(of: parent) else { return nil }
    return halves.left == node ? halves.right : halves.left
  }

  /// The largest node of at most `limit` slices that are all free, at or below a node; of several, the one of the lowest
  /// slices. `FreeSlices` finds it sooner among all slices.
  ///
  /// - Returns: nil when no slice is free or `limit` is below 1.
  /// - Precondition: `top` is a node.
  /// - Complexity: O(top.count).
  public func largestNode(below top: SliceRange, atMost limit: Int, whereFree isFree: (Int) -> Bool) -> SliceRange? {
    precondition(isNode(top), "\(top) is no node of a tree of \(count)")
    var best: SliceRange?
    /// Whether all of `node` is free; `best` has seen it and all below it.
    func visit(_ node: SliceRange) -> Bool {
      var isWhole = isFree(node.first)
      if let halves = SliceTree.halves(of: node) {
        let left = visit(halves.left)
        let right = visit(halves.right)
        isWhole = left && right
      }
      if isWhole, node.count <= limit, node.count > best?.count ?? 0 { best = node }
      return isWhole
    }
    _ = visit(top)
    return best
  }

  /// - Returns: nil for a single slice.
  static func halves(of node: SliceRange) -> (left: SliceRange, right: SliceRange)? {
    guard node.count > 1 else { return nil }
    let half = 1 << (Int.bitWidth - 1 - (node.count - 1).leadingZeroBitCount)
    return (
      SliceRange(first: node.first, count: half),
      SliceRange(first: node.first + half, count: node.count - half)
    )
  }

  /// The node with its parent, found from the root downward; nil when `range` is no node.
  private func path(to range: SliceRange) -> (node: SliceRange, parent: SliceRange?)? {
    var node = root
    var parent: SliceRange?
    while node != range {
      guard let halves = SliceTree.halves(of: node) else { return nil }
      parent = node
      node = range.first < halves.right.first ? halves.left : halves.right
    }
    return (node, parent)
  }
}
