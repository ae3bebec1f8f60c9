/// When a worker or a memory shard says hello, and when it says to people that nobody answers.
///
/// A hello that crossed the wire and is not answered is followed by the next after 0.5 s, then 1 s, and so on up to 10 s,
/// each shortened by up to half at random, so that a thousand workers do not speak at once. One that could not be sent,
/// as no connection stands, costs nobody anything: the next look tries again.
public struct HelloBackoff: Sendable {
  static let shortestPause = Duration.milliseconds(500)
  static let longestPause = Duration.seconds(10)
  /// Silences that are told to people; beyond the last one, every minute. The first soon, for whoever mistyped the
  /// address is still watching.
  static let toldSilences: [Duration] = [.seconds(3), .seconds(10), .seconds(30), .seconds(60)]

  private var pause = Self.shortestPause
  private var helloAt: Instant
  private var silentSince: Instant
  private var told = 0

  public init(at now: Instant) {
    helloAt = now
    silentSince = now
  }

  /// Whether to say hello now; then the next one waits.
  /// - Parameter random: 0..<1.
  public mutating func saysHello(at now: Instant, random: Double) -> Bool {
    guard now >= helloAt else { return false }
    helloAt = now + pause * (1 - random / 2)
    pause = min(pause * 2, Self.longestPause)
    return true
  }

  /// The coordinator said something.
  public mutating func heard(at now: Instant) {
    silentSince = now
    told = 0
  }

  /// The next hello is due at once: the last one never left, or whom it goes to is another one now or can be reached again.
  public mutating func begin(at now: Instant) {
    pause = Self.shortestPause
    helloAt = now
  }

  /// How long nobody has answered.
  public func silence(at now: Instant) -> Duration { now - silentSince }

  /// How long nobody answered, if that is to be told now.
  public mutating func complaint(at now: Instant) -> Duration? {
    let silence = silence(at: now)
    let last = Self.toldSilences.count
    let due = told < last ? Self.toldSilences[told] : Self.toldSilences[last - 1] * (told - last + 2)
    guard silence >= due else { return nil }
    told += 1
    return silence
  }
}
