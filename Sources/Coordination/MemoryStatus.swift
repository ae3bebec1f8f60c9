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
      copiesMade: board.tally.copied, movesToMake: board.movesToMake, movesMade: board.tally.moved,
      damagedExtents: board.tally.damaged,
      oldestRow: storedWindow.lowerBound,
      oldestRowStep: storedWindow.lowerBound / max(memory.rowsPerStep, 1),
      rowsPerSecond: present.reduce(0) { $0 + $1.reported.rowsPerSecond },
      bytesPerSecond: present.reduce(0) { $0 + $1.reported.bytesPerSecond },
      rowsCached: counts.rowsCached, rowsFetched: counts.rowsFetched,
      rowWaitSeconds: counts.rowWaitSeconds,
      waiting: board.missingRows.map { board.waiting(for: $0, at: time) },
      shards: board.shardsInOrder.map { MemoryStatus.Shard($0, at: time) })
  }

  /// A piece of the table of who holds which extent, for workers.
  public func holders(first: Int, count: Int) -> HolderTable {
    board?.table(first: first, count: count) ?? HolderTable(version: 0, first: first, shards: [], holders: [])
  }
}

extension MemoryStatus.Shard {
  init(_ shard: ShardBoard.Shard, at now: Instant) {
    let (reported, isPresent) = (shard.reported, shard.isPresent)
    self.init(
      id: shard.id.description, name: shard.name, endpoint: shard.connection.reach.address?.endpoint.description,
      state: !isPresent ? "away" : shard.orders.isDraining ? "draining" : "present", extents: reported.held.count,
      pulling: shard.orders.pulling.count, bytes: reported.used, capacityBytes: reported.capacity,
      rowsPerSecond: isPresent ? reported.rowsPerSecond : 0, bytesPerSecond: isPresent ? reported.bytesPerSecond : 0,
      servedRows: reported.served.rows, servedBytes: reported.served.bytes,
      secondsSinceHeard: (now - shard.connection.heard) / .seconds(1),
      problem: reported.problem.isEmpty ? nil : reported.problem)
  }
}
