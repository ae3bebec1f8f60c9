import Services
import Synchronization
import Testing

/// Whoever restarts a process that does not move hears from one that does, and from no other.
struct PulseTests {
  @Test func aCoordinatorsThreadThatIsStuckSilencesTheOther() {
    let beats = Mutex(0)
    let pulse = CoordinatorPulse { beats.withLock { $0 += 1 } }
    for _ in 0..<5 { pulse.moves(.bulk) }
    #expect(beats.withLock { $0 } == 0)
    pulse.moves(.control)
    #expect(beats.withLock { $0 } == 1)
    for _ in 0..<5 { pulse.moves(.control) }
    #expect(beats.withLock { $0 } == 1)
    pulse.moves(.bulk)
    #expect(beats.withLock { $0 } == 2)
  }

  @Test func aThreadIsStuckThatIsFarSlowerThanAnyWas() {
    let start = ContinuousClock.now
    func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }
    var clock = SliceClock()
    #expect(!clock.isStuck(at: at(10_000)), "who has nothing to do")
    clock.begin(0, at: at(0))
    clock.begin(1, at: at(0))
    #expect(!clock.isStuck(at: at(600)))
    #expect(clock.isStuck(at: at(601)))
    // A slice of 100 s: from now on one may take 1,000.
    clock.end(0, at: at(100))
    #expect(!clock.isStuck(at: at(1000)))
    #expect(clock.isStuck(at: at(1001)), "the other is at its first one still")
    clock.end(1, at: at(1001))
    #expect(!clock.isStuck(at: at(100_000)))
  }
}
