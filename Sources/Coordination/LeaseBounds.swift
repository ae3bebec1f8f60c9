import Messages
import Slices

/// What a lease of a run may say: a worker takes nothing on trust.
public struct LeaseBounds: Sendable {
  private let steps: Int
  private let pictures: Int
  private let tree: SliceTree

  /// - Parameters:
  ///   - steps: of the run.
  ///   - tree: of a step's slices.
  ///   - pictures: of the data set.
  public init(steps: Int, tree: SliceTree, pictures: Int) {
    self.steps = steps
    self.tree = tree
    self.pictures = pictures
  }

  /// What is wrong with a lease; nil when nothing is.
  func problem(of lease: Lease) -> String? {
    guard (0..<steps).contains(lease.step) else { return "step \(lease.step) of a run of \(steps)" }
    guard tree.isNode(lease.slices) else {
      return
        "slices \(lease.slices.first) to \(lease.slices.first + lease.slices.count) are no node of \(tree.count)"
    }
    guard (0...lease.rows).contains(lease.memoryFloor) else {
      return "a memory of \(lease.rows) rows with floor \(lease.memoryFloor)"
    }
    guard lease.lost.last ?? 0 < pictures else { return "picture \(lease.lost.last ?? 0) of \(pictures) is lost" }
    return nil
  }
}
