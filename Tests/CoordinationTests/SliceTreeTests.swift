import Slices
import TestSupport
import Testing

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
    var free = FreeSlices(of: SliceTree(count: 6))
    #expect(free.count == 6)
    #expect(free.largestNode(atMost: 9) == SliceRange(first: 0, count: 6))
    #expect(free.largestNode(atMost: 5) == SliceRange(first: 0, count: 4))
    #expect(free.largestNode(atMost: 3) == SliceRange(first: 0, count: 2))
    #expect(free.largestNode(atMost: 9, outside: [SliceRange(first: 2, count: 1)]) == SliceRange(first: 0, count: 2))
    free[1] = false
    #expect(free.largestNode(atMost: 9) == SliceRange(first: 2, count: 2))
    #expect(free.largestNode(atMost: 1) == SliceRange(first: 0, count: 1))
    #expect(free.largestNode(atMost: 0) == nil)
    for slice in 0..<6 { free[slice] = false }
    #expect(free.count == 0 && free.largestNode(atMost: 9) == nil)
  }

  /// A look at every slice is the reference.
  @Test(arguments: counts)
  func freeSlicesKeptUpToDateGiveTheNodesOfALookAtAll(count: Int) {
    var random = SplitMix64(seed: UInt64(count))
    let tree = SliceTree(count: count)
    var free = FreeSlices(of: tree)
    for _ in 0..<100 {
      // Runs of slices, so that large nodes are free now and then.
      let (first, isFree) = (Int(random.next(below: UInt64(count))), random.next(below: 2) == 0)
      for slice in first..<min(count, first + 1 + Int(random.next(below: UInt64(count)))) { free[slice] = isFree }
      let other = Int(random.next(below: UInt64(count)))
      let excluded = SliceRange(first: other, count: 1 + Int(random.next(below: UInt64(count - other))))
      let limit = Int(random.next(below: UInt64(count + 2)))
      #expect(free.count == tree.root.indices.count { free[$0] })
      #expect(free.largestNode(atMost: limit) == tree.largestNode(below: tree.root, atMost: limit) { free[$0] })
      let found = free.largestNode(atMost: limit, outside: [excluded])
      #expect(
        found
          == tree.largestNode(below: tree.root, atMost: limit) { free[$0] && !excluded.indices.contains($0) })
    }
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
