import Synchronization

/// Whether a coordinator moves, for whoever restarts one that does not: told once both of its sockets' threads have said
/// that they do, and again once both have said so again. One that is stuck silences the other.
package final class CoordinatorPulse: Sendable {
  package enum Part: CaseIterable {
    /// Has given the state machine an event, so nobody keeps that locked.
    case control
    case bulk
  }

  private let missing = Mutex(Set(Part.allCases))
  private let tell: @Sendable () -> Void

  package init(_ tell: @escaping @Sendable () -> Void) { self.tell = tell }

  package func moves(_ part: Part) {
    let haveAll = missing.withLock { missing in
      missing.remove(part)
      guard missing.isEmpty else { return false }
      missing = Set(Part.allCases)
      return true
    }
    if haveAll { tell() }
  }
}
