import Checkpoints
import Coordination
import Durability
import MemoryBank
import Messages

/// What a coordinator's disk has to do with memory shards, as the real process does it.
extension SimulatedDisk {
  /// Of the directory that is open.
  var layout: ExtentLayout? { directory.map(layout(of:)) }

  /// Which extents there are, and who holds them.
  var resumedMemory: ResumedMemory {
    guard let directory, let rows else { return ResumedMemory() }
    let holders = rows.holders
    let entries = rows.sealed.map { record in
      LedgerEntry(extent: record.identity, holders: (holders[record.index] ?? []).map { ShardID($0) })
    }
    let shards = rows.shards.map { shard, known in
      (
        ShardID(shard),
        LedgerShard(
          name: known.name, endpoint: known.endpoint.flatMap { try? Endpoint($0) }, isDraining: known.isDraining)
      )
    }
    let needed = try? checkpoints(of: directory).neededRows()
    return ResumedMemory(
      ledger: Ledger(entries: entries, shards: Dictionary(uniqueKeysWithValues: shards)), local: rows.localExtents,
      oldestRow: needed?.oldest ?? 0, settledRows: needed?.settled ?? 0)
  }

  func carryOut(_ work: ExtentWork) throws {
    switch work {
    case .writeLedger(_, let ledger):
      let holders = ledger.entries.map { ($0.extent.index, $0.holders.map(\.digest)) }
      let shards = ledger.shards.map { shard, known in
        (
          shard.digest,
          ExtentLedger.Shard(name: known.name, endpoint: known.endpoint?.description, isDraining: known.isDraining)
        )
      }
      try rows?.record(
        holders: Dictionary(uniqueKeysWithValues: holders), shards: Dictionary(uniqueKeysWithValues: shards))
    case .release(let extents): try rows?.release(extents)
    case .fetch: break  // begun then; it ends by itself
    }
  }

  /// The same, on a disk that is full at some point of it if a number is given.
  func carryOut(_ work: ExtentWork, onFullDisk point: UInt64?) throws {
    if let point { storage.failOperation(after: Int(point % 4), number: 28) }
    defer { if point != nil { storage.failOperation(after: Int.max / 2) } }
    try carryOut(work)
  }

  /// The newest checkpoint is removed by hand, as a damaged one would be: the one before is the newest then.
  /// - Returns: whether there was one before, and it is not that of `lastStep`.
  func loseNewestCheckpoint(before lastStep: Int) throws -> Bool {
    let directory = "\(Self.path)/checkpoints"
    guard try storage.exists(directory) else { return false }
    let names = try storage.list(directory).filter { $0.hasPrefix("step-") }
    guard names.count > 1, let newest = names.last, Int(newest.dropFirst(5)) != lastStep else { return false }
    try storage.remove("\(directory)/\(newest)")
    try storage.synchronizeDirectory(directory)
    return true
  }
}

extension ExtentRecord {
  init(_ identity: ExtentIdentity) {
    self.init(index: identity.index, before: identity.before, after: identity.after)
  }

  var identity: ExtentIdentity { ExtentIdentity(index: index, before: before, after: after) }
}
