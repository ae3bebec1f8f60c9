import Glibc

/// How many pictures a second a run does of late.
///
/// Pictures and seconds are averaged alike, each step weighing e times less once `timeConstant` seconds have passed:
/// their quotient is the mean rate over about that long, without a bias at the start.
public struct RateEstimator: Sendable {
  /// In seconds, above 0.
  public let timeConstant: Double
  private var images = 0.0
  private var seconds = 0.0
  private var lastTime: Double

  /// - Parameter time: of the start, in seconds on the clock that `finished` is given.
  public init(startingAt time: Double, timeConstant: Double = 60) {
    self.timeConstant = timeConstant
    lastTime = time
  }

  /// Counts pictures done since the last call. A clock that goes back counts as standing still.
  public mutating func finished(images count: Int, at time: Double) {
    let passed = max(0, time - lastTime)
    let weight = exp(-passed / timeConstant)
    images = images * weight + Double(count)
    seconds = seconds * weight + passed
    lastTime = max(lastTime, time)
  }

  /// Nil before any time has passed.
  public var imagesPerSecond: Double? { seconds > 0 ? images / seconds : nil }
}
