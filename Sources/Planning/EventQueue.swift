/// What is to happen, by time; of the same time, what was added first comes first.
struct EventQueue<Element> {
  private var heap: [(time: Double, order: Int, element: Element)] = []
  private var added = 0

  /// When the next thing happens; nil if nothing will.
  var next: Double? { heap.first?.time }

  mutating func add(_ element: Element, at time: Double) {
    heap.append((time, added, element))
    added += 1
    var index = heap.count - 1
    while index > 0, isBefore(index, (index - 1) / 2) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func take() -> Element? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var index = 0
      while true {
        let children = [2 * index + 1, 2 * index + 2].filter { $0 < heap.count }
        guard let child = children.min(by: { isBefore($0, $1) }), isBefore(child, index) else { break }
        heap.swapAt(child, index)
        index = child
      }
    }
    return first.element
  }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }
}
