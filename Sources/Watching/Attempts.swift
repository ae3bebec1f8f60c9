/// Wrong tokens, counted by where they come from, so that nobody tries many.
struct Attempts: Sendable {
  /// Wrong tokens that an address may say at once, and how long each is remembered.
  static let atOnce = 8
  static let forgotten = Duration.seconds(5)
  /// Addresses that are remembered; beyond that the one that has been quiet for longest is not.
  static let addresses = 1024

  /// When all of an address's attempts will be forgotten.
  private var until: [String: ContinuousClock.Instant] = [:]

  /// Whether an address is to wait before it says another token, the right one too.
  func areTooMany(from source: String, at now: ContinuousClock.Instant) -> Bool {
    guard let until = until[source] else { return false }
    return until - now > Self.forgotten * (Self.atOnce - 1)
  }

  mutating func count(from source: String, at now: ContinuousClock.Instant) {
    if until.count >= Self.addresses, until[source] == nil, let oldest = until.min(by: { $0.value < $1.value }) {
      until[oldest.key] = nil
    }
    until[source] = max(until[source] ?? now, now) + Self.forgotten
  }
}
