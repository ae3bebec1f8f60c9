import Glibc
import Testing
import Threads

@Test func aThreadThatStandsBackComputesOnlyWhereAProcessorWouldIdle() {
  let policies = [false, true].map { standsBack in
    let policy = BoundedQueue<Int32>(capacity: 1)
    startThread(named: "test", standsBack: standsBack) { policy.append(sched_getscheduler(0)) }
    return policy.next()
  }
  // SCHED_OTHER and SCHED_IDLE.
  #expect(policies == [0, 5])
}
