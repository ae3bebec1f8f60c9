import Slices

/// The audited nodes of a step, in slice order, the larger first: the order in which they are looked after.
///
/// Kept in that order, for where many nodes are audited they are gone through at each event.
struct AuditTable: Sendable {
  private(set) var nodes: [SliceRange] = []
  private var audits: [Audit] = []

  var isEmpty: Bool { nodes.isEmpty }
  var indices: Range<Int> { nodes.indices }

  /// The audit at a place, which holds until one before it begins or ends.
  subscript(place: Int) -> Audit { _read { yield audits[place] } }

  /// The audit of a node; nil where there is none.
  /// - Complexity: O(log audits), and O(audits) for one that begins or ends.
  subscript(node: SliceRange) -> Audit? {
    get {
      let place = Self.place(of: node, in: nodes)
      return isNode(node, at: place) ? audits[place] : nil
    }
    set {
      let place = Self.place(of: node, in: nodes)
      switch (isNode(node, at: place), newValue) {
      case (true, let audit?): audits[place] = audit
      case (true, nil):
        nodes.remove(at: place)
        audits.remove(at: place)
      case (false, let audit?):
        nodes.insert(node, at: place)
        audits.insert(audit, at: place)
      case (false, nil): break
      }
    }
  }

  private func isNode(_ node: SliceRange, at place: Int) -> Bool { place < nodes.count && nodes[place] == node }

  /// Where a node is among others in this order, or would be.
  static func place(of node: SliceRange, in nodes: [SliceRange]) -> Int {
    var (low, high) = (0, nodes.count)
    while low < high {
      let middle = (low + high) / 2
      if (nodes[middle].first, -nodes[middle].count) < (node.first, -node.count) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    return low
  }
}
