/// What is to happen, by time; what is for the same time happens in the order in which it was put in.
struct EventQueue<Element> {
  private var heap: [(time: UInt64, order: UInt64, element: Element)] = []
  private var pushed: UInt64 = 0

  mutating func push(_ element: Element, at time: UInt64) {
    pushed += 1
    heap.append((time, pushed, element))
    var child = heap.count - 1
    while child > 0, precedes(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> (time: UInt64, element: Element)? {
    guard !heap.isEmpty else { return nil }
    heap.swapAt(0, heap.count - 1)
    let first = heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
        least = child
      }
      guard least != parent else { break }
      heap.swapAt(least, parent)
      parent = least
    }
    return (first.time, first.element)
  }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }
}
