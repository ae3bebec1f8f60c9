import Durability
import Numerics

extension RowStore: ExtentOwner {
  /// Whole extents, by what a power cut would leave of the ledger.
  public var sealed: [ExtentRecord] { ledger.withLock { $0.records } }

  /// The shards that hold each whole extent, by the ledger.
  public var holders: [Int: [Digest]] { ledger.withLock { $0.entries.mapValues(\.holders) } }

  /// The shards that hold extents, by the ledger.
  public var shards: [Digest: ExtentLedger.Shard] { ledger.withLock { $0.shards } }

  /// Extents that have a file here, the one that is appended to among them.
  public var localExtents: Set<Int> { state.withLock { $0.present } }

  /// Says durably which shards hold extents from now on; those without a record are left out.
  /// - Parameter shards: what there is to know of those shards.
  /// - Throws: `DurabilityError`: then nothing is changed.
  public func record(holders: [Int: [Digest]], shards: [Digest: ExtentLedger.Shard] = [:]) throws {
    try change { ledger in
      for (extent, shards) in holders { ledger.set(holders: shards, of: extent) }
      ledger.shards = shards
    }
  }

  /// Removes the files of extents that shards hold by the ledger; others stay.
  ///
  /// A resume at a checkpoint that ends within an extent needs its file: only extents wholly below the oldest kept
  /// checkpoint's rows may be released.
  public func release(_ extents: some Sequence<Int>) throws {
    let elsewhere = ledger.withLock { $0.elsewhere }
    try removeFiles { present in extents.filter { elsewhere.contains($0) && present.contains($0) } }
  }

  /// The records of consecutive rows of an extent, for a shard that copies it; checked before they leave.
  /// - Parameter first: of the extent's rows, 0..<capacity.
  /// - Throws: `MemoryBankError.extentNotHeld` for rows that are not here, or not yet; `.damagedRow`; `DurabilityError`.
  public func records(extent: Int, first: Int, count: Int) throws -> [UInt8] {
    invariant(extent >= 0 && first >= 0 && first < layout.capacity && count > 0, "\(count) rows from \(first) on")
    let number = extent * layout.capacity + first
    let count = min(count, layout.capacity - first)
    let file = try state.withLock { state in
      guard state.present.contains(extent), number + count <= state.rows else {
        throw MemoryBankError.extentNotHeld(directory: directory, row: number)
      }
      return try openFile(extent, &state)
    }
    return try layout.records(in: file, from: number, count: count)
  }

  /// Begins to fetch a whole extent from a shard: one that is not here, or is damaged.
  /// - Throws: `DurabilityError`, a full disk among them; nothing is left behind then.
  public func begin(_ record: ExtentRecord) throws -> ExtentWriter {
    let number = state.withLock { state in
      state.copies += 1
      return state.copies
    }
    return try ExtentWriter(
      owner: self, record: record, mark: 0,
      path: "\(directory)/\(layout.name(of: record.index))\(ExtentStore.copySuffix)\(number)")
  }

  func admit(_ file: any StorageFile, _ record: ExtentRecord) throws {
    try naming.withLock { _ in
      try storage.rename(file.path, to: "\(directory)/\(layout.name(of: record.index))")
      state.withLock { state in
        state.files[record.index] = nil
        state.present.insert(record.index)
      }
    }
    try storage.synchronizeDirectory(directory)
  }

  func ended(_ file: any StorageFile, isSealed: Bool) {
    if !isSealed { try? storage.remove(file.path) }
  }

  /// Removes the files whose rows are all below `row` and none of which is in `kept`: neither the window nor a kept
  /// checkpoint needs them.
  public func prune(below row: Int, except kept: [Range<Int>] = []) throws {
    let end = min(row, rows)
    let isGone = { [layout] (index: Int) in
      let rows = layout.rows(of: index)
      return rows.upperBound <= end && !kept.contains { $0.overlaps(rows) }
    }
    try removeFiles { $0.sorted().filter(isGone) }
    // Written with its next change: until then it names extents that nobody looks for.
    ledger.withLock { $0.forget(where: isGone) }
  }
}
