import Coordination
import TestSupport
import Testing

@Suite("What is to happen") struct EventQueueTests {
  @Test("comes by time, and of the same time in the order in which it was added") func order() {
    var random = SplitMix64(seed: 3)
    var queue = EventQueue<UInt64, Int>()
    var expected: [(time: UInt64, element: Int)] = []
    for element in 0..<500 {
      let time = random.next(below: 40)
      queue.add(element, at: time)
      expected.append((time, element))
    }
    // Sorting keeps the order of what is equal no more than a heap does.
    expected.sort { ($0.time, $0.element) < ($1.time, $1.element) }
    for (time, element) in expected {
      #expect(queue.next == time)
      let taken = queue.take()
      #expect(taken?.time == time && taken?.element == element)
    }
    #expect(queue.next == nil && queue.take() == nil)
  }
}
