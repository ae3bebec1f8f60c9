import Messages
import Numerics

/// Which memory shard holds which extent, and which should: pure, as the coordinator that owns it.
///
/// An extent begins in the coordinator's own file. Shards are told to pull it, and report when it is durable; once
/// `replicas` of them have, and a durable ledger names them, the coordinator's file is released. Copying, moving away from
/// a shard that is drained, and repairing what was lost or damaged are one rule: too few holders, so one more pulls. Where
/// all have enough, shards that are emptier than others by more than an extent pull from those, who then have one too many.
/// Whatever takes a copy away (`release`, `trim`, the end of a drain) first counts the others, in `isSafe(_:without:)`.
struct ShardBoard: Sendable {
  /// An extent that is sealed and needed.
  struct Extent: Sendable {
    let identity: ExtentIdentity
    /// The coordinator has it in a file of its own.
    var isLocal: Bool
    /// Shards that have it with these rows, present or away, but for those that are to remove it. Each is in `shards`.
    var holders: [ShardID]
    /// Those that the newest durable ledger names.
    var durableHolders: [ShardID]
    /// The coordinator pulls it.
    var isFetching = false
  }

  /// Since the coordinator started.
  struct Tally: Sendable {
    /// Extents that were copied.
    var copied = 0
    /// The same of extents that had enough copies, or were a drained shard's.
    var moved = 0
    /// Extents that shards found damaged.
    var damaged = 0
  }

  let settings: MemorySettings
  let begun: Instant
  var shards: [ShardID: Shard] = [:]
  /// By index. What is not here is needed by nobody, or not sealed yet.
  var extents: [Int: Extent] = [:]
  /// Rows below this are needed by nobody.
  var oldestRow: Int
  /// Rows below this are in every checkpoint that a start may resume from.
  var settledRows: Int
  /// Of the table of holders; 0 until a shard has joined.
  private(set) var version: UInt64 = 0
  var shortage = Shortage()
  var tally = Tally()
  /// Extents that are still to be moved until all shards are equally full.
  var movesToMake = 0
  var byPeer: [PeerID: ShardID] = [:]
  /// Who was told to leave; a bounded number, the newest last.
  var drained: [PeerID] = []
  var ledger: LedgerWriting
  /// Something changed that `reconcile` has not looked at.
  var isDirty = true
  var unfetched = GatheredLines("extents could not be fetched")

  init(_ settings: MemorySettings, resuming memory: ResumedMemory, at now: Instant) {
    invariant(settings.rowsPerExtent > 0 && settings.replicas > 0, "\(settings)")
    self.settings = settings
    begun = now
    oldestRow = memory.oldestRow
    settledRows = memory.settledRows
    ledger = LedgerWriting(notBefore: now)
    // The ledger on the disk goes on to name extents that no checkpoint needs any more, until its next change.
    let entries = memory.ledger.entries.filter {
      ($0.extent.index + 1) * settings.rowsPerExtent > memory.oldestRow
    }
    for id in Set(entries.flatMap(\.holders)) {
      let known = memory.ledger.shards[id]
      var shard = Shard(id, named: known?.name ?? id.description, at: now)
      shard.connection.formerEndpoint = known?.endpoint
      shard.orders.isDraining = known?.isDraining ?? false
      shards[id] = shard
    }
    for entry in entries {
      let index = entry.extent.index
      extents[index] = Extent(
        identity: entry.extent, isLocal: memory.local.contains(index), holders: entry.holders.sorted(),
        durableHolders: entry.holders.sorted())
      for id in entry.holders { self[id].reported.held[index] = entry.extent.after.low }
    }
    if !shards.isEmpty { version = 1 }
  }

  /// A shard that is known.
  subscript(id: ShardID) -> Shard {
    get {
      guard let shard = shards[id] else { fatalError("invariant broken: memory shard \(id) is not known") }
      return shard
    }
    _modify {
      guard let index = shards.index(forKey: id) else {
        fatalError("invariant broken: memory shard \(id) is not known")
      }
      yield &shards.values[index]
    }
  }

  func rows(of index: Int) -> Range<Int> { index * settings.rowsPerExtent..<(index + 1) * settings.rowsPerExtent }

  var shardsInOrder: [Shard] { shards.values.sorted { $0.id < $1.id } }

  var hasShardsHeard: Bool { shards.values.contains(where: \.connection.isHeard) }

  func shard(of peer: PeerID) -> Shard? { byPeer[peer].map { self[$0] } }

  func wasDrained(_ peer: PeerID) -> Bool { drained.contains(peer) }

  /// Who holds what is not what it was: workers, the ledger and `reconcile` are to know.
  mutating func touch() {
    version += 1
    isDirty = true
    ledger.isStale = true
  }

  /// The step's memory is another one now.
  mutating func windowMoved() { isDirty = true }
}

// MARK: - What follows

extension ShardBoard {
  /// Looks at everything that changed, and at what time has ended.
  ///
  /// - Parameter window: the rows of the step's memory that are stored.
  /// - Complexity: O(shards); O(extents * holders) when something changed.
  mutating func reconcile(at now: Instant, window: Range<Int>, _ effects: inout [Effect]) {
    for shard in shardsInOrder { watch(shard, at: now, &effects) }
    if isDirty {
      isDirty = false
      replace(&effects)
      place(at: now, &effects)
      release(&effects)
      findShortage(in: window, at: now)
      endDrains(&effects)
    }
    writeLedger(at: now, &effects)
    if let line = unfetched.rest(at: now.sinceStart) { effects.append(.log(.warning, line)) }
    for shard in shardsInOrder where shard.isPresent && shard.orders.work != shard.orders.assigned {
      assign(shard.id, &effects)
    }
  }

  /// Notices what time has ended for a shard.
  private mutating func watch(_ shard: Shard, at now: Instant, _ effects: inout [Effect]) {
    let (id, was) = (shard.id, shard.connection)
    let isHeard = was.peer != nil && now - was.heard < CoordinationLimits.silence
    self[id].connection.isHeard = isHeard
    if isHeard != was.isHeard { isDirty = true }
    if isHeard, was.hasReported, let address = self[id].connection.reach.probe(at: now) {
      effects.append(.probe(address))
    }
    if let until = shard.reported.fullUntil, now >= until {
      self[id].reported.fullUntil = nil
      isDirty = true
    }
    let isPresent = isHeard && was.reach.isReached
    if isPresent != was.isPresent {
      self[id].connection.isPresent = isPresent
      if !isPresent {
        effects.append(
          .log(.warning, "Memory shard '\(shard.name)' is away, with \(shard.reported.held.count) extents."))
        self[id].orders.pulling = [:]
      }
      touch()
    }
    // Copies of what it had are worth their price once it has been away for so long.
    let isOverdue = !isPresent && now - was.heard >= CoordinationLimits.shardReturn
    if isOverdue, !shard.reported.held.isEmpty, was.isCounted {
      self[id].connection.isCounted = false
      isDirty = true
    } else if !isOverdue, !was.isCounted {
      self[id].connection.isCounted = true
      isDirty = true
    }
  }

  /// A shard at the place of one that is not heard was started there with another directory: that of the other is lost.
  /// If it is not, its own shard says so when it comes back, for it has to say hello.
  private mutating func replace(_ effects: inout [Effect]) {
    for shard in shardsInOrder where !shard.connection.isHeard && !shard.reported.held.isEmpty {
      guard let endpoint = shard.connection.formerEndpoint else { continue }
      let other = shardsInOrder.first {
        $0.isPresent && $0.name == shard.name && $0.connection.reach.address?.endpoint == endpoint
      }
      guard let other else { continue }
      effects.append(
        .log(
          .warning,
          "Memory shard '\(shard.name)' serves as \(other.id) now, with another directory than before: the "
            + "\(shard.reported.held.count) extents of \(shard.id) are taken for lost, unless a shard comes back with "
            + "them."))
      for index in shard.reported.held.keys { lose(index, shard.id) }
      leave(shard.id)
      touch()
    }
  }
}
