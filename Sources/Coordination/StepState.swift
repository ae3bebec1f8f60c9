import Messages
import Numerics
import Slices

/// What has come of the step that is computed: a new one when the next step begins, or this one begins again.
struct StepState: Sendable {
  var slices: SliceBoard
  /// The accepted leases' nodes, in the order of acceptance; disjoint.
  var acceptedNodes: [SliceRange] = []
  /// By node: those that are computed twice.
  var audits = AuditTable()
  /// What decides which.
  var draws = AuditDraws()
  /// Who must not get a slice for a while.
  var exclusions: [Exclusion] = []
  /// Hosts whose "not finite" the coordinator's own computing did not bear out, and that were asked again.
  var askedAgain: Set<String> = []
  /// By slice: how often each worker gave it back.
  var returned: [Int: [PeerID: Int]] = [:]
  /// How many workers were named from whom the others fetch the step's student; nil until that is decided, 0 if all ask the
  /// coordinator.
  var weightSources: Int?
  /// Whether gradients stay with who computed them, and are added up chunk by chunk; nil until the first lease.
  var isReduced: Bool?
  /// By accepted node: gradients that workers keep. Those of all other accepted nodes are here.
  var kept: [SliceRange: KeptGradient] = [:]
  /// By node whose gradient a worker keeps: other workers that have it too, in the order of their answers.
  var spares: [SliceRange: [KeptGradient]] = [:]
  /// Since all slices were in the first time; nil before.
  var sums: SumBoard?
  /// Results that were accepted, and of which the gradient turned out not to be finite.
  var notFinite: [SliceRange: Finished] = [:]
  /// Pictures without which it is computed, ascending.
  let lost: [Int]

  /// Nothing computed yet.
  init(of tree: SliceTree, without lost: [Int]) {
    slices = SliceBoard(of: tree)
    self.lost = lost
  }
}

/// Who must not get a slice for a while.
struct Exclusion: Sendable {
  enum Whom: Hashable, Sendable {
    case peer(PeerID)
    /// All workers of a host.
    case host(String)
  }
  let whom: Whom
  let slice: Int
  let until: Instant

  func applies(to peer: Peer, at now: Instant) -> Bool {
    until > now && (whom == .peer(peer.id) || whom == .host(peer.host))
  }
}
