import Foundation
import Testing
import Threads

@Suite("A bounded queue keeps order and capacity, and wakes who waits")
struct BoundedQueueTests {
  @Test func itTakesNoMoreThanItsCapacityAndGivesInOrder() {
    let queue = BoundedQueue<Int>(capacity: 3)
    #expect((0..<5).map { queue.tryAppend($0) } == [true, true, true, false, false])
    #expect((0..<4).map { _ in queue.tryNext() } == [0, 1, 2, nil])
  }

  @Test func aClosedQueueGivesWhatItHasAndTakesNothing() {
    let queue = BoundedQueue<Int>(capacity: 3)
    queue.append(1)
    queue.close()
    #expect(!queue.append(2) && !queue.tryAppend(2))
    #expect(queue.next() == 1 && queue.next() == nil && queue.tryNext() == nil)
  }

  @Test(.timeLimit(.minutes(10))) func whoWaitsWakesForElementsRoomAndTheEnd() {
    let queue = BoundedQueue<Int>(capacity: 2)
    let taken = BoundedQueue<[Int]>(capacity: 1)
    startThread(named: "consumer") {
      var all: [Int] = []
      while let element = queue.next() { all.append(element) }
      taken.append(all)
    }
    // Starts waiting; then the producer is the faster one and waits for room.
    Thread.sleep(forTimeInterval: 0.02)
    for number in 0..<1000 { queue.append(number) }
    queue.close()
    #expect(taken.next() == Array(0..<1000))
  }

  @Test(.timeLimit(.minutes(10))) func whoWaitsForRoomWakesWhenItIsClosed() {
    let queue = BoundedQueue<Int>(capacity: 1)
    let outcome = BoundedQueue<Bool>(capacity: 1)
    queue.append(1)
    startThread(named: "producer") { outcome.append(queue.append(2)) }
    Thread.sleep(forTimeInterval: 0.02)
    queue.close()
    #expect(outcome.next() == false)
  }
}
