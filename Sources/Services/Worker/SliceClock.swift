/// When each computing thread began the slice that it is at: whether one of them is stuck.
///
/// How long a slice takes follows from network, pictures and processor, and may be minutes. So a thread is stuck once it
/// has been at one for ten times as long as any took here before, and for ten minutes at least.
package struct SliceClock: Sendable {
  private static let leastPatience = Duration.seconds(600)
  private static let patienceInSlices = 10

  /// A thread each, by its number.
  private var begun: [Int: ContinuousClock.Instant] = [:]
  private var longest = Duration.zero

  package init() {}

  package mutating func begin(_ thread: Int, at now: ContinuousClock.Instant) { begun[thread] = now }

  package mutating func end(_ thread: Int, at now: ContinuousClock.Instant) {
    if let start = begun.removeValue(forKey: thread) { longest = max(longest, now - start) }
  }

  package func isStuck(at now: ContinuousClock.Instant) -> Bool {
    let patience = max(Self.leastPatience, longest * Self.patienceInSlices)
    return begun.values.contains { now - $0 > patience }
  }
}
