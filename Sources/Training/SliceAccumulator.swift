import Numerics
import Wire

/// Adds slice results along the step's tree, as far as they have come.
///
/// Two sums meet only when they are siblings, and the left one is always the left operand; so whatever the order of
/// arrival, and whoever added which part, the bits of the root are the same. Workers use it to add up a lease,
/// the coordinator to add up the leases of a step.
public struct SliceAccumulator {
  private let tree: SliceTree
  /// The node that is wanted: a lease's, or the root.
  private let goal: SliceRange
  /// Disjoint nodes whose siblings are still missing.
  private var waiting: [SliceRange: SliceSum] = [:]
  /// Gradients that were added into others: their memory serves the next slices.
  public private(set) var spent: [FloatBuffer] = []

  /// - Precondition: `goal` is a node of `tree`.
  public init(tree: SliceTree, goal: SliceRange) {
    invariant(tree.isNode(goal), "\(goal) is no node of the tree")
    self.tree = tree
    self.goal = goal
  }

  /// Takes a sum in.
  /// - Precondition: `sum` is a node within the goal, and none of its slices has been taken in.
  /// - Returns: the goal's sum, once the last part is here.
  public mutating func add(_ sum: SliceSum) -> SliceSum? {
    invariant(tree.isNode(sum.slices), "\(sum.slices) is no node of the tree")
    var sum = sum
    while sum.slices != goal {
      guard let sibling = tree.sibling(of: sum.slices) else { fatalError("\(sum.slices) is not within \(goal)") }
      guard let other = waiting.removeValue(forKey: sibling) else {
        let before = waiting.updateValue(sum, forKey: sum.slices)
        invariant(before == nil, "\(sum.slices) was added twice")
        return nil
      }
      let (left, right) = sibling.first < sum.slices.first ? (other, sum) : (sum, other)
      sum = SliceSum.adding(left, right)
      spent.append(right.gradient)
    }
    return sum
  }

  /// Hands the spent gradients over, to be used again.
  public mutating func takeSpent() -> [FloatBuffer] {
    defer { spent.removeAll() }
    return spent
  }
}
