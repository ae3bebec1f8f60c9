import Coordination
import Numerics
import TestSupport
import Wire

/// What a run computes in the simulator: hashes in the place of gradients and weights, as pure as those.
struct Truth {
  let tree: SliceTree
  /// The version of each step, 0 to the last.
  let versions: [Updated]

  init(slices: Int, steps: Int) {
    let tree = SliceTree(count: slices)
    var versions = [
      Updated(step: 0, student: Digest(high: 1, low: 2), teacher: Digest(high: 3, low: 4), rows: 0, memoryFloor: 0)
    ]
    for _ in 0..<steps {
      let version = versions[versions.count - 1]
      versions.append(Truth.updated(version, with: Truth.payload(of: tree.root, in: tree, with: version), in: tree))
    }
    self.tree = tree
    self.versions = versions
  }

  /// The payload of a lease of this node: the sum of its slices' results along the tree.
  static func payload(of node: SliceRange, in tree: SliceTree, with version: Updated) -> Digest {
    guard let (left, right) = tree.children(of: node) else {
      return mixed(version.student, version.teacher, UInt64(version.step), UInt64(version.rows), UInt64(node.first))
    }
    return sum(payload(of: left, in: tree, with: version), payload(of: right, in: tree, with: version))
  }

  /// Like a sum of floats: it has an order.
  static func sum(_ left: Digest, _ right: Digest) -> Digest { mixed(left, right, 1) }

  static func updated(_ version: Updated, with total: Digest, in tree: SliceTree) -> Updated {
    let student = mixed(version.student, total, 2)
    return Updated(
      step: version.step + 1, student: student, teacher: mixed(version.teacher, student, 3),
      rows: version.rows + 4 * tree.count, memoryFloor: version.memoryFloor)
  }

  private static func mixed(_ left: Digest, _ right: Digest, _ numbers: UInt64...) -> Digest {
    var high: UInt64 = 0
    var low: UInt64 = 1
    for word in [left.high, left.low, right.high, right.low] + numbers {
      high = SplitMix64.mixed(high ^ word)
      low = SplitMix64.mixed(low &+ high)
    }
    return Digest(high: high, low: low)
  }
}
