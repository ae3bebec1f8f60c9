/// Lines about one trouble, of which there may be a thousand a minute: the first is said at once, the others are counted
/// and said together.
///
///     if let line = lines.note("Lease 7 was given back: no rows.", number: 7, at: now) { log(line) }
///     if let line = lines.rest(at: now) { log(line) }       // now and then
///
/// It is for what a process meets by itself, and names the numbers of what met it. What peers can cause as often as they
/// like goes through `LogBudget`, which bounds lines by peer and kind, and forgets what they were about.
public struct GatheredLines: Sendable {
  /// What is counted, and by which numbers it is known: "leases were given back for want of rows".
  private let what: String
  private let pause: Duration
  private var saidAt: Duration?
  private var more = 0
  private var numbers: ClosedRange<UInt64>?

  public init(_ what: String, every pause: Duration = CoordinationLimits.complaint) {
    self.what = what
    self.pause = pause
  }

  /// - Parameter time: on a clock that does not go back.
  /// - Returns: the line, if it is to be said.
  public mutating func note(_ line: String, number: UInt64, at time: Duration) -> String? {
    guard isSilent(at: time) else {
      saidAt = time
      return line
    }
    more += 1
    numbers = min(numbers?.lowerBound ?? number, number)...max(numbers?.upperBound ?? number, number)
    return nil
  }

  /// What was not said, once it is time to.
  public mutating func rest(at time: Duration) -> String? {
    guard let numbers, !isSilent(at: time) else { return nil }
    let line = "\(more) more \(what), numbers \(numbers.lowerBound) to \(numbers.upperBound)."
    (self.numbers, more, saidAt) = (nil, 0, time)
    return line
  }

  private func isSilent(at time: Duration) -> Bool { saidAt.map { time - $0 < pause } ?? false }
}
