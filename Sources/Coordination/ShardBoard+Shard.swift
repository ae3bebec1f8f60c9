import Messages
import Numerics

extension ShardBoard {
  /// A memory shard that said hello, or that the ledger names.
  struct Shard: Sendable {
    let id: ShardID
    /// For people, and its host.
    var name: String
    var connection: Connection
    var reported = Reported()
    var orders = Orders()

    init(_ id: ShardID, named name: String, at now: Instant) {
      self.id = id
      self.name = name
      connection = Connection(heard: now)
    }

    /// Heard lately, and reached.
    var isPresent: Bool { connection.isPresent }
    /// Its copies count, and it keeps them.
    var isHolding: Bool { connection.isCounted && !orders.isDraining }
    /// Extents that it has or is to have.
    var extentCount: Int { reported.held.count + orders.pulling.keys.count { reported.held[$0] == nil } }
  }

  /// How a shard is reached, and whether it is.
  struct Connection: Sendable {
    /// Nil while it has not said hello, and after its goodbye.
    var peer: PeerID?
    /// Who spoke for it before: whoever comes back while `peer` lives is a second process with the same directory.
    var formerPeers: [PeerID] = []
    /// It was heard after its hello: a hello alone may be a dead process's, delayed on its way.
    var hasReported = false
    var reach = Reach()
    /// Where it served before the coordinator started, if it did.
    var formerEndpoint: Endpoint?
    /// When it was last heard, or the board began.
    var heard: Instant
    /// Lately; set by `reconcile`.
    var isHeard = false
    /// Heard lately, and reached; set by `reconcile`.
    var isPresent = false
    /// Its copies count, though it may be away for a moment; set by `reconcile`.
    var isCounted = true
  }

  /// What a shard said of itself last.
  struct Reported: Sendable {
    /// What its hello says that it has: believed once it was heard after it.
    var greeting: [Int: UInt64]?
    /// What it has, right or wrong: the low half of the digest after the extent.
    var held: [Int: UInt64] = [:]
    /// Changes of its that were heard.
    var changes: UInt64 = 0
    /// Bytes.
    var capacity = 0
    var used = 0
    /// It had no room at a try, and gets none before this.
    var fullUntil: Instant?
    /// When people were told last that it is full.
    var saidFull: Instant?
    var served: (rows: Int, bytes: Int, at: Instant?) = (0, 0, nil)
    var rowsPerSecond = 0.0
    var bytesPerSecond = 0.0
    var problem = ""
  }

  /// What a shard is to do.
  struct Orders: Sendable {
    /// It is to leave once others hold what it holds.
    var isDraining = false
    /// To be pulled, since when.
    var pulling: [Int: Instant] = [:]
    /// To be removed: these no longer count as held.
    var removing: Set<Int> = []
    /// The number of the last assignment, and what it was about.
    var assignment: UInt64 = 0
    var assigned: (pulling: [Int], removing: [Int]) = ([], [])

    /// What an assignment would be about now.
    var work: (pulling: [Int], removing: [Int]) {
      (pulling.keys.sorted(), Array(removing.sorted().prefix(WireLimits.extentsAssigned)))
    }
  }
}
