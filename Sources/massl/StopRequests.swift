import Glibc

/// What a process is asked for from outside.
package enum StopRequest: Sendable {
  /// To end in order: with a last checkpoint, say.
  case leave
  /// Not to wait for that.
  case hurry
}

/// What signals ask for, one after the other: the first of any kind to leave, a second SIGINT to hurry.
///
/// Terminals that close, and schedulers, send what they have several times, to a process and to its group; none of that
/// may cost the last checkpoint. Only a person who presses Ctrl-C again means it.
package struct StopRequests: Sendable {
  /// SIGINTs closer together are one: `timeout -s INT` signals the process, then its group.
  static let together = Duration.milliseconds(500)
  /// Those that ask to leave. Two are always taken; the others only where the process was not started to ignore them, as
  /// `nohup` has it.
  package static let signals = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2]
  package static let alwaysTaken = [SIGINT, SIGTERM]

  /// Whether one has come.
  package private(set) var haveCome = false
  package private(set) var isHurried = false
  private var interrupted: ContinuousClock.Instant?

  package init() {}

  /// - Parameter signal: nil for what is no signal: the end of the process that started this one.
  /// - Returns: what is asked for now; nil if that is known.
  package mutating func take(_ signal: CInt?, at now: ContinuousClock.Instant) -> StopRequest? {
    let isFirst = !haveCome
    haveCome = true
    if signal == SIGINT {
      if let interrupted, now - interrupted >= Self.together, !isHurried {
        isHurried = true
        return .hurry
      }
      interrupted = interrupted ?? now
    }
    return isFirst ? .leave : nil
  }
}
