import TestSupport
import Testing
import Wire

@Suite("The slice tree gives one sum, however its nodes come")
struct SliceTreeTests {
  static let counts = Array(1...40) + [64, 100, 127, 1000]

  @Test(arguments: counts)
  func nodesSplitAtTheLargestPowerOfTwoBelow(count: Int) throws {
    let tree = SliceTree(count: count)
    var leaves = 0
    var open = [tree.root]
    while let node = open.popLast() {
      #expect(tree.isNode(node))
      guard let (left, right) = tree.children(of: node) else {
        #expect(node.count == 1)
        leaves += 1
        continue
      }
      #expect(left.count.nonzeroBitCount == 1 && left.count < node.count && 2 * left.count >= node.count)
      #expect(left.first == node.first && right.first == left.first + left.count)
      #expect(left.count + right.count == node.count)
      #expect(tree.parent(of: left) == node && tree.parent(of: right) == node)
      #expect(tree.sibling(of: left) == right && tree.sibling(of: right) == left)
      open += [left, right]
    }
    #expect(leaves == count)
    #expect(tree.parent(of: tree.root) == nil && tree.sibling(of: tree.root) == nil)
  }

  @Test func otherRangesAreNoNodes() {
    let tree = SliceTree(count: 6)
    let nodes = (-1...7).flatMap { first in (-1...8).map { SliceRange(first: first, count: $0) } }
      .filter(tree.isNode)
    #expect(nodes.count == 11)
    #expect(!tree.isNode(SliceRange(first: .max, count: 2)))
    #expect(!tree.isNode(SliceRange(first: 1, count: 2)))
    #expect(!tree.isNode(SliceRange(first: 4, count: 4)))
  }

  @Test func theLargestFreeNodeIsFoundLowestFirst() {
    let tree = SliceTree(count: 6)
    var free = [Bool](repeating: true, count: 6)
    #expect(tree.largestFreeNode(in: free, atMost: 9) == tree.root)
    #expect(tree.largestFreeNode(in: free, atMost: 5) == SliceRange(first: 0, count: 4))
    #expect(tree.largestFreeNode(in: free, atMost: 3) == SliceRange(first: 0, count: 2))
    free[1] = false
    #expect(tree.largestFreeNode(in: free, atMost: 9) == SliceRange(first: 2, count: 2))
    #expect(tree.largestFreeNode(in: free, atMost: 1) == SliceRange(first: 0, count: 1))
    #expect(tree.largestFreeNode(in: free, atMost: 0) == nil)
    #expect(tree.largestFreeNode(in: free.map { _ in false }, atMost: 9) == nil)
  }

  /// Whatever disjoint nodes cover the slices, in whatever order they come, the additions are those of the tree.
  @Test(arguments: 0..<200 as Range<UInt64>)
  func anyCoverInAnyOrderAddsAlongTheTree(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let tree = SliceTree(count: 1 + Int(random.next(below: 40)))
    func sum(_ node: SliceRange) -> String {
      guard let (left, right) = tree.children(of: node) else { return "\(node.first)" }
      return "(" + sum(left) + "+" + sum(right) + ")"
    }
    var cover = [tree.root]
    for _ in 0..<random.next(below: 40) {
      let index = Int(random.next(below: UInt64(cover.count)))
      guard let (left, right) = tree.children(of: cover[index]) else { continue }
      cover[index] = left
      cover.append(right)
    }
    var treeSum = TreeSum<String>(tree: tree)
    while !cover.isEmpty {
      #expect(treeSum.total == nil)
      let node = cover.remove(at: Int(random.next(below: UInt64(cover.count))))
      treeSum.insert(sum(node), at: node) { "(" + $0 + "+" + $1 + ")" }
    }
    #expect(treeSum.total == sum(tree.root))
    #expect(treeSum.waitingNodes == [tree.root])
  }
}
