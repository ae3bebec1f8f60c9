/// What becomes of a service whose process ended.
public struct RestartRule: Sendable {
  public enum Decision: Equatable, Sendable {
    /// It stays as it is: done, or every start would end in the same way.
    case stays(code: Int32)
    case starts(afterSeconds: Double)
  }

  /// Done; another command line is needed; do not restart.
  private static let finalCodes: [Int32] = [0, 64, 65]
  /// From an end to the next start, in seconds: twice as long each time, until a process has lived for a while.
  private static let pauses = 1.0...60.0
  private static let patience = 60.0

  private var pause = RestartRule.pauses.lowerBound

  public init() {}

  /// - Parameter seconds: that the process lived for.
  public mutating func decide(_ end: ProcessEnd, after seconds: Double) -> Decision {
    if case .code(let code) = end, Self.finalCodes.contains(code) { return .stays(code: code) }
    if seconds >= Self.patience { pause = Self.pauses.lowerBound }
    defer { pause = min(2 * pause, Self.pauses.upperBound) }
    return .starts(afterSeconds: pause)
  }
}
