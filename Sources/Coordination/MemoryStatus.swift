import Messages

/// What people and programs see of a run's memory and its shards: `massl memory list`, and a part of `status`.
public struct MemoryStatus: Hashable, Codable, Sendable {
  public var replicas: Int
  /// Extents that are whole and needed.
  public var extents: Int
  /// Those of them in files of the coordinator.
  public var localExtents: Int
  public var extentBytes: Int
  public var rowsPerExtent: Int
  /// Copies that are still to be made, of what shards hold that are drained too, and those made since the coordinator
  /// started.
  public var copiesToMake: Int
  public var copiesMade: Int
  /// Extents that are still to be moved until all shards are equally full, and those moved since the coordinator started,
  /// drained shards' among them.
  public var movesToMake: Int
  public var movesMade: Int
  /// Extents that shards found damaged since the coordinator started.
  public var damagedExtents: Int
  /// The first row of the step's memory that is stored, and the step that enqueued it.
  public var oldestRow: Int
  public var oldestRowStep: Int
  /// Of all shards that are there.
  public var rowsPerSecond: Double
  public var bytesPerSecond: Double
  /// Since the coordinator started: stored rows that workers had in their caches, and that they fetched from anybody; how
  /// long steps waited for them, all workers' times added.
  public var rowsCached: Int
  public var rowsFetched: Int
  public var rowWaitSeconds: Double
  /// Rows that the run waits for; nil when it has all.
  @OrNull public var waiting: String?
  /// In the order of their identities.
  public var shards: [Shard]

  public struct Shard: Hashable, Codable, Sendable {
    public var id: String
    public var name: String
    @OrNull public var endpoint: String?
    /// "present", "draining" or "away".
    public var state: String
    public var extents: Int
    /// Extents that it pulls.
    public var pulling: Int
    /// Of its files, and offered.
    public var bytes: Int
    public var capacityBytes: Int
    public var rowsPerSecond: Double
    public var bytesPerSecond: Double
    /// Since its process began.
    public var servedRows: Int
    public var servedBytes: Int
    public var secondsSinceHeard: Double
    /// Why it cannot do what it is told; nil if it can.
    @OrNull public var problem: String?
  }
}

extension Coordinator {
  /// Nil for a run whose memory is the coordinator's alone.
  public func memoryStatus(at time: Instant) -> MemoryStatus? {
    guard let board, let memory = settings.memory else { return nil }
    let time = max(now, time)
    let present = board.shards.values.filter(\.isPresent)
    return MemoryStatus(
      replicas: memory.replicas, extents: board.extents.count,
      localExtents: board.extents.values.count(where: \.isLocal), extentBytes: memory.extentBytes,
      rowsPerExtent: memory.rowsPerExtent,
      copiesToMake: board.copiesToMake,
      copiesMade: board.copied, movesToMake: board.movesToMake, movesMade: board.moved, damagedExtents: board.damaged,
      oldestRow: storedWindow.lowerBound,
      oldestRowStep: storedWindow.lowerBound / max(memory.rowsPerStep, 1),
      rowsPerSecond: present.reduce(0) { $0 + $1.rowsPerSecond },
      bytesPerSecond: present.reduce(0) { $0 + $1.bytesPerSecond },
      rowsCached: counts.rowsCached, rowsFetched: counts.rowsFetched,
      rowWaitSeconds: counts.rowWaitSeconds,
      waiting: board.missing.first.flatMap { first in
        board.missing.last.map { last in
          let rows = "rows \(board.rows(of: first).lowerBound) to \(board.rows(of: last).upperBound - 1)"
          return board.sentence(about: rows, at: time)
        }
      },
      shards: board.shardsInOrder.map { shard in
        MemoryStatus.Shard(
          id: shard.id.description, name: shard.name, endpoint: shard.address?.endpoint.description,
          state: !shard.isPresent ? "away" : shard.isDraining ? "draining" : "present", extents: shard.held.count,
          pulling: shard.pulling.count, bytes: shard.used, capacityBytes: shard.capacity,
          rowsPerSecond: shard.isPresent ? shard.rowsPerSecond : 0,
          bytesPerSecond: shard.isPresent ? shard.bytesPerSecond : 0, servedRows: shard.served.rows,
          servedBytes: shard.served.bytes,
          secondsSinceHeard: (time - shard.heard) / .seconds(1), problem: shard.problem.isEmpty ? nil : shard.problem)
      })
  }

  /// A piece of the table of who holds which extent, for workers.
  public func holders(first: Int, count: Int) -> HolderTable {
    board?.table(first: first, count: count) ?? HolderTable(version: 0, first: first, shards: [], holders: [])
  }
}

extension ShardBoard {
  /// A shard that leaves holds nothing for long.
  var copiesToMake: Int {
    let staying = shards.filter { !$0.value.isDraining }
    guard !staying.isEmpty else { return 0 }
    return extents.values.reduce(0) { sum, extent in
      sum + max(0, settings.replicas - extent.holders.count { staying[$0] != nil })
    }
  }

  /// Extents past the last sealed one are left out: the coordinator has them.
  func table(first: Int, count: Int) -> HolderTable {
    let present = shardsInOrder.filter { $0.isPresent && $0.address != nil }
    // Those that leave are asked last.
    let places = Dictionary(uniqueKeysWithValues: present.enumerated().map { ($1.id, $0) })
    let end = min(first + count, (extents.keys.max() ?? -1) + 1)
    return HolderTable(
      version: version, first: first, shards: present.compactMap(\.address),
      holders: (first..<max(first, end)).map { index in
        let holders = extents[index]?.holders ?? []
        let ordered =
          holders.filter { !(shards[$0]?.isDraining ?? false) } + holders.filter { shards[$0]?.isDraining ?? false }
        return Array(ordered.compactMap { places[$0] }.prefix(WireLimits.holders))
      })
  }

  func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError(message()) }
    }
    try require(shards.count <= WireLimits.shards, "\(shards.count) shards")
    for shard in shards.values {
      try require(
        shard.pulling.count <= CoordinationLimits.extentsInFlight, "\(shard.name) pulls \(shard.pulling.count) extents")
      try require(shard.pulling.keys.allSatisfy { extents[$0] != nil }, "\(shard.name) pulls what nobody needs")
      try require(shard.removing.allSatisfy { shard.held[$0] != nil }, "\(shard.name) removes what it does not have")
    }
    for (index, extent) in extents {
      try require(extent.identity.index == index, "extent \(index) out of place")
      try require(rows(of: index).upperBound > oldestRow, "extent \(index) is kept for nobody")
      try require(extent.holders == Set(extent.holders).sorted(), "holders of \(index): \(extent.holders)")
      for holder in extent.holders {
        let shard = shards[holder]
        try require(
          shard?.held[index] == extent.identity.after.low && !(shard?.removing.contains(index) ?? true),
          "\(holder) is said to hold extent \(index)")
      }
    }
  }
}
