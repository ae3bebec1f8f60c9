/// Which slices of a tree are free, kept so that the largest free node is found without a look at every slice.
///
/// A heap of places: place 1 is the root, the halves of place i are 2 i and 2 i + 1. It has a power of two of leaves; what
/// lies past the last slice is empty, and a place whose right half is empty is the node of its left half. So the places
/// that are not empty are just the nodes of `SliceTree`:
///
///     count = 6                1: 0 ..< 6
///                  2: 0 ..< 4             3: 4 ..< 6
///            4: 0 ..< 2  5: 2 ..< 4   6: 4 ..< 6  7: none
public struct FreeSlices: Sendable {
  /// Slices of the tree, at least 1.
  public let slices: Int
  /// Slices that are free.
  public private(set) var count: Int
  /// Places of single slices: the least power of two that is not below `slices`.
  private let leaves: Int
  /// Slices of the largest free node at or below each place, 0 for none; `[2 * leaves]`.
  private var largest: [Int]

  /// All slices free. O(slices).
  public init(of tree: SliceTree) {
    slices = tree.count
    count = tree.count
    leaves = tree.count < 2 ? 1 : 1 << (Int.bitWidth - (tree.count - 1).leadingZeroBitCount)
    largest = [Int](repeating: 0, count: 2 * leaves)
    for place in 1..<(2 * leaves) {
      // Places of one height have the same leading bit.
      let height = leaves.trailingZeroBitCount - (Int.bitWidth - 1 - place.leadingZeroBitCount)
      largest[place] = max(node(at: place, size: 1 << height).count, 0)
    }
  }

  /// Whether a slice is free. Setting it is O(log slices).
  public subscript(slice: Int) -> Bool {
    get { largest[leaves + slice] == 1 }
    set {
      guard newValue != self[slice] else { return }
      count += newValue ? 1 : -1
      var (place, size) = (leaves + slice, 1)
      largest[place] = newValue ? 1 : 0
      while place > 1 {
        (place, size) = (place / 2, size * 2)
        let (left, right) = (largest[2 * place], largest[2 * place + 1])
        let whole = node(at: place, size: size).count
        let new = left + right == whole ? whole : max(left, right)
        guard new != largest[place] else { return }
        largest[place] = new
      }
    }
  }

  /// The largest node of at most `limit` slices that are all free and in none of `excluded`; of several, the one of the
  /// lowest slices.
  ///
  /// - Returns: nil when there is none.
  /// - Complexity: O(log slices) where nothing is excluded; else O(slices) at worst.
  public func largestNode(atMost limit: Int, outside excluded: [SliceRange] = []) -> SliceRange? {
    guard limit >= 1 else { return nil }
    // Below a place that is not cut off at the last slice no node has another size than a power of two.
    let whole = 1 << (Int.bitWidth - 1 - limit.leadingZeroBitCount)
    var best: SliceRange?
    func visit(_ place: Int, _ size: Int) {
      let node = node(at: place, size: size)
      guard min(largest[place], node.count == size ? whole : limit) > best?.count ?? 0 else { return }
      if largest[place] == node.count, node.count <= limit, !excluded.contains(where: { $0.overlaps(node) }) {
        best = node
      } else if size > 1 {
        visit(2 * place, size / 2)
        visit(2 * place + 1, size / 2)
      }
    }
    visit(1, leaves)
    return best
  }

  /// - Parameter size: slices of a place at this height that is not cut off.
  /// - Returns: of a count not above 0 for a place that is empty.
  private func node(at place: Int, size: Int) -> SliceRange {
    let first = place * size - leaves
    return SliceRange(first: first, count: min(size, slices - first))
  }
}
