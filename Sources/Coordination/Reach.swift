import Messages

/// Where somebody says that others reach it, and whether the coordinator did: it asks at each address once, and again
/// after a while where nobody answered.
struct Reach: Sendable {
  /// Nil where it gives none.
  private(set) var address: BulkAddress?
  /// The coordinator had an answer from there: what is at an address that is wrong would be nowhere.
  private(set) var isReached = false
  private var probeNotBefore: Instant?
  /// When people were told last that it is not reached.
  private var complained: Instant?

  /// It says where it is; of a process that began anew an answer of the one before does not count.
  mutating func offer(_ address: BulkAddress?, isNew: Bool) {
    if isNew || self.address != address {
      isReached = false
      probeNotBefore = nil
    }
    self.address = address
  }

  /// Whether its address is to be asked now.
  func isDue(at now: Instant) -> Bool { address != nil && !isReached && now >= probeNotBefore ?? now }

  /// The address that is to be asked now; nil while none is.
  mutating func probe(at now: Instant) -> BulkAddress? {
    guard isDue(at: now) else { return nil }
    // Until its answer, or that there is none.
    probeNotBefore = now + CoordinationLimits.absence
    return address
  }

  enum Outcome: Hashable, Sendable {
    /// Nobody waits for this answer: it has another address by now, or was reached before.
    case ofNoUse
    case reached
    /// - isSaid: people were told lately.
    case notReached(isSaid: Bool)
  }

  /// Takes in whether somebody answered at an address.
  mutating func probed(_ address: BulkAddress, hasAnswered: Bool, at now: Instant) -> Outcome {
    guard self.address == address, !isReached else { return .ofNoUse }
    guard !hasAnswered else {
      isReached = true
      return .reached
    }
    probeNotBefore = now + CoordinationLimits.probePause
    let isSaid = complained.map { now - $0 < CoordinationLimits.complaint } ?? false
    if !isSaid { complained = now }
    return .notReached(isSaid: isSaid)
  }
}
