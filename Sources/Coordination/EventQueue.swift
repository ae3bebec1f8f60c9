/// What is to happen, by time; of the same time, what was added first comes first.
///
///     queue.add(.tick, at: 3)
///     while let (time, element) = queue.take() { ... }
///
/// A heap: adding and taking cost the logarithm of what waits. For whoever drives state machines without a clock; inlinable,
/// for a simulation spends a sixth of its time here when its elements are moved without knowing their type.
public struct EventQueue<Time: Comparable, Element> {
  @usableFromInline var heap: [(time: Time, order: Int, element: Element)] = []
  @usableFromInline var added = 0

  @inlinable public init() {}

  /// When the next thing happens; nil if nothing will.
  @inlinable public var next: Time? { heap.first?.time }

  @inlinable public mutating func add(_ element: Element, at time: Time) {
    heap.append((time, added, element))
    added += 1
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Takes what happens next; nil if nothing will.
  @inlinable public mutating func take() -> (time: Time, element: Element)? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      if 2 * parent + 1 < heap.count, isBefore(2 * parent + 1, least) { least = 2 * parent + 1 }
      if 2 * parent + 2 < heap.count, isBefore(2 * parent + 2, least) { least = 2 * parent + 2 }
      guard least != parent else { break }
      heap.swapAt(least, parent)
      parent = least
    }
    return (first.time, first.element)
  }

  @inlinable func isBefore(_ left: Int, _ right: Int) -> Bool {
    if heap[left].time == heap[right].time { return heap[left].order < heap[right].order }
    return heap[left].time < heap[right].time
  }
}
