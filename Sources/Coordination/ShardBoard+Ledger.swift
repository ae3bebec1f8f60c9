import Messages
import Numerics

/// What a restart of the coordinator will know of extents and shards.
extension ShardBoard {
  /// The ledger's way to the disk, one at a time.
  struct LedgerWriting: Sendable {
    /// The one that is being written, and what it says.
    var inFlight: (number: UInt64, holders: [Int: [ShardID]])?
    /// Ledgers so far: the last one's number.
    var count: UInt64 = 0
    /// The newest one does not say what is so.
    var isStale = false
    var notBefore: Instant
  }

  mutating func writeLedger(at now: Instant, _ effects: inout [Effect]) {
    guard ledger.isStale, ledger.inFlight == nil, now >= ledger.notBefore else { return }
    ledger.isStale = false
    ledger.notBefore = now + CoordinationLimits.ledgerPause
    ledger.count += 1
    let entries = extents.values.sorted { $0.identity.index < $1.identity.index }
      .map { extent in
        // Of what is lost it goes on to say who had it: they may come back with it.
        LedgerEntry(
          extent: extent.identity,
          holders: extent.holders.isEmpty && !extent.isLocal ? extent.durableHolders : extent.holders)
      }
    ledger.inFlight = (
      ledger.count, Dictionary(uniqueKeysWithValues: entries.map { ($0.extent.index, $0.holders) })
    )
    let named = Set(entries.flatMap(\.holders))
    let known = shards.filter { named.contains($0.key) }.mapValues { shard in
      LedgerShard(
        name: shard.name, endpoint: shard.connection.formerEndpoint, isDraining: shard.orders.isDraining)
    }
    effects.append(.writeLedger(number: ledger.count, Ledger(entries: entries, shards: known)))
  }

  mutating func ledgerWritten(_ number: UInt64, failure: String?, at now: Instant, _ effects: inout [Effect]) {
    guard let written = ledger.inFlight, written.number == number else { return }
    ledger.inFlight = nil
    isDirty = true
    if let failure {
      ledger.isStale = true
      ledger.notBefore = now + CoordinationLimits.checkpointRetry
      return effects.append(
        .log(.error, "The table of the memory's extents could not be written: \(failure). The next try follows."))
    }
    // Of those that somebody still needs.
    for (index, holders) in written.holders { extents[index]?.durableHolders = holders }
  }

  /// Whether the ledger names a shard, and will go on to: one that is being written may have been drawn up before the
  /// shard said what it has.
  func isNamed(_ id: ShardID, for extent: Extent) -> Bool {
    extent.durableHolders.contains(id) && ledger.inFlight?.holders[extent.identity.index]?.contains(id) ?? true
  }
}
