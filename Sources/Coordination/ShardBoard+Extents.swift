import Messages
import Numerics

/// Which extents there are, which of them are the coordinator's to keep, and which are not to be had.
extension ShardBoard {
  /// Extents in the step's memory that nobody present has.
  struct Shortage: Sendable {
    /// In order.
    var missing: [Int] = []
    /// Those of them that nobody has at all.
    var lost: [Int] = []
    /// When people are told (again); nil while nothing is missing.
    var complainAt: Instant?
  }

  /// Its last row is appended to the coordinator's own file.
  mutating func sealed(_ identity: ExtentIdentity) {
    invariant(extents[identity.index] == nil, "extent \(identity.index) is sealed twice")
    extents[identity.index] = Extent(identity: identity, isLocal: true, holders: [], durableHolders: [])
    // Shards may have it from before a resume; with the same rows they need not copy it again.
    for shard in shardsInOrder {
      if let after = shard.reported.held[identity.index] { gain(identity.index, after, shard.id) }
    }
    isDirty = true
    ledger.isStale = true
  }

  /// Of the rows that kept checkpoints need, which begin at `oldest`; all of them have those below `settled`.
  mutating func needed(from oldest: Int, settled: Int) {
    oldestRow = max(oldestRow, oldest)
    settledRows = settled
    isDirty = true
    for index in extents.keys where rows(of: index).upperBound <= oldestRow {
      extents[index] = nil
      ledger.isStale = true
    }
    for (id, shard) in shards {
      for index in shard.reported.held.keys where rows(of: index).upperBound <= oldestRow {
        self[id].orders.removing.insert(index)
      }
      for index in shard.orders.pulling.keys where extents[index] == nil { self[id].orders.pulling[index] = nil }
    }
  }

  /// The coordinator has an extent in a file of its own, or why not. Nobody may need it any more.
  mutating func fetched(_ index: Int, failure: String?, at now: Instant, _ effects: inout [Effect]) {
    extents[index]?.isFetching = false
    if let failure {
      let line = "Extent \(index) could not be fetched: \(failure)"
      if let line = unfetched.note(line, number: UInt64(clamping: index), at: now.sinceStart) {
        effects.append(.log(.warning, line))
      }
    } else {
      extents[index]?.isLocal = true
      tally.copied += 1
    }
    isDirty = true
  }

  /// Lets go of the coordinator's files that enough shards hold; never of what a resume may have to append to.
  mutating func release(_ effects: inout [Effect]) {
    let released = extents.values.filter { extent in
      extent.isLocal && rows(of: extent.identity.index).upperBound <= settledRows && isSafe(extent, without: nil)
    }.map { $0.identity.index }.sorted()
    guard !released.isEmpty else { return }
    for index in released { extents[index]?.isLocal = false }
    effects.append(.releaseExtents(released))
  }

  /// Whether an extent has all its copies, without this shard's: present ones that a restart would know of.
  func isSafe(_ extent: Extent, without id: ShardID?) -> Bool {
    let others = extent.holders.count {
      $0 != id && isNamed($0, for: extent) && self[$0].isHolding && self[$0].isPresent
    }
    return others >= settings.replicas
  }

  /// Looks which of the rows that the step needs are not to be had.
  mutating func findShortage(in window: Range<Int>, at now: Instant) {
    shortage.missing = extents.values.filter { extent in
      !extent.isLocal && rows(of: extent.identity.index).overlaps(window)
        && !extent.holders.contains { self[$0].isPresent }
    }.map { $0.identity.index }.sorted()
    shortage.lost = shortage.missing.filter { extents[$0]?.holders.isEmpty ?? false }
    if shortage.missing.isEmpty {
      shortage.complainAt = nil
    } else if shortage.complainAt == nil {
      shortage.complainAt = now + CoordinationLimits.silence
    }
  }

  /// A piece of the table of who holds which extent, for workers. Extents past the last sealed one are left out: the
  /// coordinator has them.
  func table(first: Int, count: Int) -> HolderTable {
    let present = shardsInOrder.filter { $0.isPresent && $0.connection.reach.address != nil }
    // Those that leave are asked last.
    let places = Dictionary(uniqueKeysWithValues: present.enumerated().map { ($1.id, $0) })
    let end = min(first + count, (extents.keys.max() ?? -1) + 1)
    return HolderTable(
      version: version, first: first, shards: present.compactMap(\.connection.reach.address),
      holders: (first..<max(first, end)).map { index in
        let holders = extents[index]?.holders ?? []
        let ordered = holders.filter { !self[$0].orders.isDraining } + holders.filter { self[$0].orders.isDraining }
        return Array(ordered.compactMap { places[$0] }.prefix(WireLimits.holders))
      })
  }
}
