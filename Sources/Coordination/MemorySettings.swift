import Messages

/// How a run's memory is divided and kept.
public struct MemorySettings: Sendable {
  /// K: rows in the memory of a step.
  public var size: Int
  public var rowsPerExtent: Int
  /// Bytes of a whole extent's file.
  public var extentBytes: Int
  /// Shards that hold each extent, at least 1.
  public var replicas: Int
  /// Rows enqueued in a step.
  public var rowsPerStep: Int
  /// `--forget-lost-rows`: rows that nobody has when the coordinator starts become seeded ones.
  public var forgetsLostRows: Bool

  public init(
    size: Int, rowsPerExtent: Int, extentBytes: Int, replicas: Int, rowsPerStep: Int, forgetsLostRows: Bool = false
  ) {
    self.size = size
    self.rowsPerExtent = rowsPerExtent
    self.extentBytes = extentBytes
    self.replicas = replicas
    self.rowsPerStep = rowsPerStep
    self.forgetsLostRows = forgetsLostRows
  }
}

/// Who holds which extent, as a restart needs to know it: durable before any file is let go.
public struct Ledger: Hashable, Sendable {
  /// In the order of the extents.
  public var entries: [LedgerEntry]
  /// Of the shards that hold extents.
  public var shards: [ShardID: LedgerShard]
  public init(entries: [LedgerEntry] = [], shards: [ShardID: LedgerShard] = [:]) {
    self.entries = entries
    self.shards = shards
  }
}

public struct LedgerShard: Hashable, Sendable {
  /// For people, and its host.
  public var name: String
  /// Where it served rows last.
  public var endpoint: Endpoint?
  /// It is to leave once others hold what it holds.
  public var isDraining: Bool
  public init(name: String, endpoint: Endpoint? = nil, isDraining: Bool = false) {
    self.name = name
    self.endpoint = endpoint
    self.isDraining = isDraining
  }
}

public struct LedgerEntry: Hashable, Sendable {
  public var extent: ExtentIdentity
  /// None: only the coordinator's own file.
  public var holders: [ShardID]
  public init(extent: ExtentIdentity, holders: [ShardID]) {
    self.extent = extent
    self.holders = holders
  }
}

/// The memory that a coordinator finds when it starts.
public struct ResumedMemory: Sendable {
  /// Without the extents that reach past the resumed rows.
  public var ledger: Ledger
  /// Extents that are in the coordinator's own files.
  public var local: Set<Int>
  /// The first row that a kept checkpoint needs.
  public var oldestRow: Int
  /// Rows that each kept checkpoint has: extents that reach past them stay in the coordinator's files, for a start from
  /// one of those appends to them.
  public var settledRows: Int

  public init(ledger: Ledger = Ledger(), local: Set<Int> = [], oldestRow: Int = 0, settledRows: Int = 0) {
    self.ledger = ledger
    self.local = local
    self.oldestRow = oldestRow
    self.settledRows = settledRows
  }
}
