import Messages

/// Peers that sent bad messages, or went on saying hello where that is refused: a bounded number.
struct OffenderTable: Sendable {
  private struct Offender {
    var count: Int
    var last: Instant
    /// It went over the limit: nothing from it is answered.
    var isIgnored: Bool
  }

  private var offenders: [PeerID: Offender] = [:]

  var count: Int { offenders.count }

  func isIgnored(_ peer: PeerID) -> Bool { offenders[peer]?.isIgnored ?? false }

  /// Whether there is a place for it.
  func hasPlace(for peer: PeerID, isWorker: Bool) -> Bool {
    offenders[peer] != nil || isWorker || offenders.count < CoordinationLimits.strangeOffenders
  }

  /// Counts an offence.
  /// - Returns: whether it is one too many.
  mutating func count(_ peer: PeerID, at now: Instant) -> Bool {
    var offender = offenders[peer] ?? Offender(count: 0, last: now, isIgnored: false)
    offender.count += 1
    offender.last = now
    keep(offender, as: peer)
    return offender.count >= CoordinationLimits.malformedMessages
  }

  mutating func ignore(_ peer: PeerID, at now: Instant) {
    keep(Offender(count: CoordinationLimits.malformedMessages, last: now, isIgnored: true), as: peer)
  }

  private mutating func keep(_ offender: Offender, as peer: PeerID) {
    if offenders[peer] == nil, offenders.count >= CoordinationLimits.offenders {
      let oldest = offenders.min { ($0.value.last, $0.key.rawValue) < ($1.value.last, $1.key.rawValue) }
      if let oldest { offenders[oldest.key] = nil }
    }
    offenders[peer] = offender
  }

  /// Forgets those whose last offence is long ago.
  mutating func expire(at now: Instant) {
    for (peer, offender) in offenders where now - offender.last >= CoordinationLimits.ignored { offenders[peer] = nil }
  }

  /// When the next one is to be forgotten; nil if there is none.
  var nextExpiry: Instant? { offenders.values.map(\.last).min().map { $0 + CoordinationLimits.ignored } }
}
