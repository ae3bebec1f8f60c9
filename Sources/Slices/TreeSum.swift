/// Adds values up along a `SliceTree`, in whatever order its nodes come: a value waits for its sibling's, then the two
/// become their parent's.
///
/// The order of the additions, hence every bit of the sum, follows from the tree alone. Values are handed over and
/// handed back, never copied: with buffers as values, at most one for each node that waits is alive.
public struct TreeSum<Value> {
  public let tree: SliceTree
  /// By first slice: waiting nodes are disjoint.
  private var waiting: [Int: (node: SliceRange, value: Value)] = [:]

  public init(tree: SliceTree) { self.tree = tree }

  /// The sum over all slices, once every slice is in.
  public var total: Value? {
    guard let entry = waiting[0], entry.node == tree.root else { return nil }
    return entry.value
  }

  /// Nodes that wait for their siblings, in slice order.
  public var waitingNodes: [SliceRange] { waiting.values.map(\.node).sorted { $0.first < $1.first } }

  /// Adds the value of a node.
  ///
  /// - Parameters:
  ///   - add: gives the parent's value from its left and its right child's; it may reuse either.
  /// - Precondition: `node` is a node of the tree and overlaps none that was inserted.
  /// - Complexity: O(waiting nodes) and at most log2(count) additions.
  public mutating func insert(_ value: consuming Value, at node: SliceRange, add: (Value, Value) throws -> Value)
    rethrows
  {
    precondition(tree.isNode(node), "\(node) is no node of a tree of \(tree.count)")
    precondition(
      waiting.values.allSatisfy { !$0.node.overlaps(node) }, "\(node) overlaps a node that is already in the sum")
    var node = node
    var sum = value
    while let sibling = tree.sibling(of: node), let parent = tree.parent(of: node),
      let entry = waiting[sibling.first], entry.node == sibling
    {
      waiting[sibling.first] = nil
      sum = sibling.first < node.first ? try add(entry.value, sum) : try add(sum, entry.value)
      node = parent
    }
    waiting[node.first] = (node, sum)
  }
}

extension SliceRange {
  /// Whether the two share a slice.
  public func overlaps(_ other: SliceRange) -> Bool {
    first < other.first + other.count && other.first < first + count
  }
}
