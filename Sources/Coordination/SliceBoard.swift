import Numerics
import Slices

/// The slices of a step: which are in, and by how many workers each other one is computed. Kept from event to event, so
/// that a lease costs no look at all of them.
struct SliceBoard: Sendable {
  /// One a slice: whether it is accepted.
  private(set) var isAccepted: [Bool]
  private(set) var acceptedCount = 0
  /// Of each slice that are computed by workers that are not overdue.
  private(set) var attempts: [Int]
  /// Those that are not accepted, and that nobody computes who is not overdue.
  private(set) var free: FreeSlices

  /// Nothing computed yet.
  init(of tree: SliceTree) {
    isAccepted = [Bool](repeating: false, count: tree.count)
    attempts = [Int](repeating: 0, count: tree.count)
    free = FreeSlices(of: tree)
  }

  var isComplete: Bool { acceptedCount == isAccepted.count }

  /// One more worker computes these slices.
  mutating func begin(_ node: SliceRange) {
    for slice in node.indices {
      attempts[slice] += 1
      free[slice] = false
    }
  }

  /// One worker less computes these slices, or is in time with them.
  mutating func end(_ node: SliceRange) {
    for slice in node.indices {
      attempts[slice] -= 1
      free[slice] = attempts[slice] == 0 && !isAccepted[slice]
    }
  }

  /// These slices are in.
  mutating func accept(_ node: SliceRange) {
    // No lease overlaps an accepted one: all that do are dropped the moment it is accepted.
    invariant(!node.indices.contains { isAccepted[$0] }, "\(node) would count twice")
    for slice in node.indices {
      isAccepted[slice] = true
      free[slice] = false
    }
    acceptedCount += node.count
  }

  /// These slices are not in any more.
  mutating func reject(_ node: SliceRange) {
    invariant(node.indices.allSatisfy { isAccepted[$0] }, "\(node) is rejected, and was not accepted")
    for slice in node.indices {
      isAccepted[slice] = false
      free[slice] = attempts[slice] == 0
    }
    acceptedCount -= node.count
  }

  /// Whether one more worker may compute all of these slices.
  func hasRoom(forAllOf node: SliceRange) -> Bool {
    node.indices.allSatisfy { attempts[$0] < CoordinationLimits.attempts }
  }

  /// Whether one more worker may compute any of these slices.
  func hasRoom(in node: SliceRange) -> Bool { node.indices.contains { attempts[$0] < CoordinationLimits.attempts } }
}
