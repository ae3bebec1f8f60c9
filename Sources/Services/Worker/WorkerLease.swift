import Messages
import Slices
import Synchronization
import Training

/// A lease that a worker computes: its slices are added up along its own tree, which is a subtree of the step's.
final class WorkerLease: Sendable {
  let lease: Lease
  /// Pictures that others take the places of.
  let lost: Set<Int>
  private let sum: Mutex<TreeSum<SliceSum>>

  /// - Parameter lease: one that `LeaseBounds` finds nothing wrong with.
  init(_ lease: Lease) {
    self.lease = lease
    lost = Set(lease.lost)
    sum = Mutex(TreeSum(tree: SliceTree(count: lease.slices.count)))
  }

  /// Adds one slice.
  /// - Returns: the lease's sum, when this was its last slice.
  func add(_ slice: SliceSum) -> SliceSum? {
    let place = SliceRange(first: slice.slices.first - lease.slices.first, count: 1)
    return sum.withLock { sum in
      sum.insert(slice, at: place) { SliceSum.adding($0, $1) }
      return sum.total
    }
  }
}
