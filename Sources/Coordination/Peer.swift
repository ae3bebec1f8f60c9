import Messages
import Slices

/// A worker that said hello and was welcomed.
struct Peer: Sendable {
  var id: PeerID
  var name: String
  var host: String
  /// Where its last hello came from.
  var origin: Origin
  var threads: Int
  /// Its probe is not the run's.
  var isOtherClass: Bool
  /// It can judge a teacher.
  var evaluates: Bool
  /// Threads without work, as it said last, less what was leased since.
  var idleThreads = 0
  var heard: Instant
  /// Its connection stands, as far as is known.
  var isConnected = true
  /// What one thread needs for one slice, a running mean; nil before its first result.
  var pace: Duration?
  /// Its open leases, in the order of their numbers.
  var leases: [LeaseID] = []
  /// Slices of its that were accepted.
  var accepted = 0
  /// Answers of its that were compared, and are right.
  var auditsPassed = 0
  var delivery = Delivery()
  /// Where others may fetch weights and gradients from it.
  var reach = Reach()
  /// Gradients that it can keep for others, those that it keeps among them.
  var gradientRoom = 0
  /// Accepted leases of the step whose gradients it keeps.
  var kept: [LeaseID: SliceRange] = [:]
  /// Its leases of nodes of which another keeps the gradient that counts, and it the same one.
  var spares: [LeaseID: SliceRange] = [:]
  /// It did not add up what it was asked to; it is not asked before this.
  var reducesNotBefore: Instant?

  var keepsGradients: Bool { !kept.isEmpty || !spares.isEmpty }

  /// Whether the gradient of this lease is for others to fetch.
  func keeps(_ lease: LeaseID) -> Bool { kept[lease] != nil || spares[lease] != nil }

  /// Whether it is connected and was heard lately: who is not gets nothing, and others get what it has.
  func isPresent(at now: Instant) -> Bool { Self.isPresent(isConnected, heard: heard, at: now) }

  /// The same where a peer would have to be copied for it, with all that it refers to.
  static func isPresent(_ isConnected: Bool, heard: Instant, at now: Instant) -> Bool {
    isConnected && now - heard < CoordinationLimits.silence
  }
}

extension Peer {
  /// Whether a worker delivers what it announces.
  struct Delivery: Sendable {
    /// When it pushed last.
    var heard: Instant?
    /// How long its payloads take from their grant to their last float, a running mean; nil before the first.
    var usual: Duration?
    /// It did not deliver, and has not since: its leases keep no slice from others, and its payloads come last.
    var isOnProbation = false
    /// How long, since its last delivery, grants of its waited for a first float.
    var silentFor = Duration.zero
    /// Payloads in a row that did not come.
    var failures = 0
    /// All of them, for `status`.
    var undelivered = 0
    /// It gets no lease before this.
    var noLeaseBefore: Instant?
    /// Leases since its last delivery that others answered, when it should have long before.
    var overtaken = 0

    /// A payload of its was whole, ever.
    var hasSucceeded: Bool { usual != nil }

    mutating func succeeded(at now: Instant) {
      heard = now
      isOnProbation = false
      silentFor = .zero
      failures = 0
      overtaken = 0
      noLeaseBefore = nil
    }
  }
}
