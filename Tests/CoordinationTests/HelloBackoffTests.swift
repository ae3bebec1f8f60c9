import Coordination
import Testing

@Suite("When hello is said") struct HelloBackoffTests {
  private let start = Instant(nanoseconds: 5_000_000_000)

  /// Seconds at which hellos are said, looked at every 100 ms for a minute.
  private func hellos(random: Double, isSent: Bool = true) -> [Double] {
    var backoff = HelloBackoff(at: start)
    return (0..<600).map { Double($0) / 10 }.filter { second in
      let now = start + .milliseconds(Int(second * 1000))
      guard backoff.saysHello(at: now, random: random) else { return false }
      if !isSent { backoff.begin(at: now) }
      return true
    }
  }

  @Test("Hellos that are not answered become rarer, down to one in ten seconds") func backsOff() {
    #expect(hellos(random: 0) == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5, 45.5, 55.5])
    #expect(hellos(random: 0.999).prefix(4) == [0, 0.3, 0.9, 2.0].prefix(4))
  }

  @Test("A hello that could not leave is tried at every look") func unsentHellosCostNothing() {
    #expect(hellos(random: 0, isSent: false).count == 600)
  }

  @Test("Silence is told after 3, 10 and 30 seconds, then every minute, and anew after an answer") func complains() {
    var backoff = HelloBackoff(at: start)
    func told(_ seconds: Range<Int>) -> [Int] {
      seconds.filter { backoff.complaint(at: start + .seconds($0)) != nil }
    }
    #expect(told(0..<200) == [3, 10, 30, 60, 120, 180])
    backoff.heard(at: start + .seconds(200))
    #expect(told(200..<231) == [203, 210, 230])
  }
}
