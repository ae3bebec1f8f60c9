import Coordination
import MemoryBank
import Numerics
import Slices
import TestSupport

/// What a run computes in the simulator: hashes in the place of gradients and weights, as pure as those.
struct Truth {
  let tree: SliceTree
  /// Floats a row.
  static let width = 4
  /// The version of each step, 0 to the last.
  let versions: [VersionIdentity]
  /// Every row ever enqueued, one after the other.
  private let floats: [Float]
  /// Of the memory of each step.
  let memories: [Digest]

  /// - Parameter lost: by picture, the first step without it.
  init(slices: Int, steps: Int, lost: [Int: Int] = [:]) {
    let tree = SliceTree(count: slices)
    var versions = [
      VersionIdentity(
        step: 0, student: Digest(high: 1, low: 2), teacher: Digest(high: 3, low: 4), rows: 0, memoryFloor: 0)
    ]
    var rows: [Float] = []
    var memory = MemoryDigest()
    var memories = [memory.state]
    for _ in 0..<steps {
      let version = versions[versions.count - 1]
      let total = Truth.payload(
        of: tree.root, in: tree, with: version, without: lost.filter { $0.value <= version.step }.keys.sorted())
      versions.append(Truth.updated(version, with: total, in: tree))
      let new = Truth.rows(of: total, in: tree)
      memory.append(new)
      memories.append(memory.state)
      rows += new.array
    }
    floats = rows
    self.memories = memories
    self.tree = tree
    self.versions = versions
  }

  /// The rows with these numbers.
  func rows(_ numbers: Range<Int>) -> [Float] {
    Array(floats[(numbers.lowerBound * Self.width)..<(numbers.upperBound * Self.width)])
  }

  /// The payload of a lease of this node: the sum of its slices' results along the tree.
  /// - Parameter lost: pictures that the step does without. A slice meets the picture with its number, and those after it.
  static func payload(
    of node: SliceRange, in tree: SliceTree, with version: VersionIdentity, without lost: [Int]
  ) -> Digest {
    guard let (left, right) = tree.children(of: node) else {
      var standIn = node.first
      for picture in lost where picture == standIn { standIn += 1 }
      return mixed(
        version.student, version.teacher, UInt64(version.step), UInt64(version.rows), UInt64(node.first),
        UInt64(standIn))
    }
    return sum(
      payload(of: left, in: tree, with: version, without: lost),
      payload(of: right, in: tree, with: version, without: lost))
  }

  /// Like a sum of floats: it has an order.
  static func sum(_ left: Digest, _ right: Digest) -> Digest { mixed(left, right, 1) }

  static func updated(_ version: VersionIdentity, with total: Digest, in tree: SliceTree) -> VersionIdentity {
    let student = mixed(version.student, total, 2)
    return VersionIdentity(
      step: version.step + 1, student: student, teacher: mixed(version.teacher, student, 3),
      rows: version.rows + rowsPerSlice * tree.count, memoryFloor: version.memoryFloor)
  }

  /// The rows that an update enqueues.
  static func rows(of total: Digest, in tree: SliceTree) -> Matrix {
    let count = rowsPerSlice * tree.count
    let floats = (0..<count * width).map { Float(mixed(total, total, 4, UInt64($0)).low >> 40) }
    return FloatBuffer(floats).matrix(rows: count, columns: width)
  }

  static let rowsPerSlice = 4

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
