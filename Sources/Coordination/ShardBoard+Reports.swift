import Messages
import Numerics

/// What shards say: whether it is believed, and what they hold by it.
extension ShardBoard {
  /// Whether another process took this one's place as this shard, and both live.
  func isDuplicate(_ hello: ShardHello, from peer: PeerID, at now: Instant) -> Bool {
    guard let known = shards[hello.shard]?.connection, known.peer != nil, known.peer != peer else { return false }
    return known.formerPeers.contains(peer) && known.hasReported && now - known.heard < CoordinationLimits.silence
  }

  /// - Returns: whether it is new here.
  mutating func join(_ hello: ShardHello, as peer: PeerID, at now: Instant) -> Bool {
    var shard = shards[hello.shard] ?? Shard(hello.shard, named: hello.name, at: now)
    let isNew = shard.connection.peer != peer
    if isNew {
      if let former = shard.connection.peer {
        shard.connection.formerPeers =
          shard.connection.formerPeers.suffix(CoordinationLimits.formerPeers - 1) + [former]
        byPeer[former] = nil
      }
      shard.connection.peer = peer
      shard.connection.hasReported = false
      shard.reported.changes = 0
      shard.reported.served = (0, 0, nil)
      shard.orders.pulling = [:]
      byPeer[peer] = hello.shard
    }
    shard.name = hello.name
    shard.connection.reach.offer(hello.address, isNew: isNew)
    shard.connection.formerEndpoint = hello.address.endpoint
    shard.connection.heard = now
    shard.reported.capacity = hello.capacity
    // An older hello of the same process, delayed on its way, says nothing new.
    let saysWhatItHas = isNew || hello.changes >= shard.reported.changes
    if saysWhatItHas {
      shard.reported.greeting = Dictionary(hello.held.map { ($0.index, $0.after) }, uniquingKeysWith: { $1 })
      shard.reported.changes = hello.changes
    }
    shards[hello.shard] = shard
    if saysWhatItHas, shard.connection.hasReported { takeGreeting(of: hello.shard) }
    touch()
    return isNew
  }

  private mutating func takeGreeting(of id: ShardID) {
    guard let held = self[id].reported.greeting else { return }
    self[id].reported.greeting = nil
    for (index, after) in self[id].reported.held where held[index] != after { lose(index, id) }
    for (index, after) in held { gain(index, after, id) }
    touch()
  }

  mutating func hear(_ report: ShardReport, of id: ShardID, at now: Instant, _ effects: inout [Effect]) {
    takeGreeting(of: id)
    var shard = self[id]
    shard.connection.heard = now
    shard.connection.hasReported = true
    (shard.reported.used, shard.reported.capacity) = (report.used, report.capacity)
    // A full disk is said once, not for each extent that it has no room for.
    let isSaid =
      report.isFull && shard.reported.saidFull.map { now - $0 < CoordinationLimits.complaint } ?? false
    if report.isFull, !isSaid { shard.reported.saidFull = now }
    if shard.reported.problem != report.problem, !report.problem.isEmpty, !isSaid {
      effects.append(.log(.warning, "Memory shard '\(shard.name)': \(report.problem)"))
    }
    shard.reported.problem = report.problem
    // Said of the newest assignment; what it says of an older one is no longer so.
    if report.isFull, shard.reported.fullUntil == nil, report.assignment == shard.orders.assignment {
      shard.reported.fullUntil = now + CoordinationLimits.fullPause
      shard.orders.pulling = [:]
      isDirty = true
    }
    shard.reported.serve(rows: report.servedRows, bytes: report.servedBytes, at: now)
    // Changes come in order and again until they were heard: those that were are passed over, none is left out.
    let heard = shard.reported.changes
    let new = report.first <= heard ? report.changes.dropFirst(Int(clamping: heard - report.first)) : []
    shard.reported.changes += UInt64(new.count)
    self[id] = shard
    var found: [Int] = []
    for change in new {
      switch change {
      case .held(let extent):
        if self[id].orders.pulling[extent.index] != nil {
          let isCopy = extents[extent.index]?.holders.count ?? 0 < settings.replicas
          if isCopy { tally.copied += 1 } else { tally.moved += 1 }
        }
        gain(extent.index, extent.after, id)
      case .removed(let index): lose(index, id)
      case .damaged(let index):
        tally.damaged += 1
        found.append(index)
        lose(index, id)
      }
    }
    if let first = found.min(), let last = found.max() {
      let extents = found.count > 1 ? " (\(found.count) extents of them)" : ""
      effects.append(
        .log(
          .error,
          "Memory shard '\(shard.name)' found rows \(rows(of: first).lowerBound) to \(rows(of: last).upperBound - 1) "
            + "damaged\(extents): they are copied again. Its disk or memory may be broken."))
    }
    if !new.isEmpty { touch() }
  }

  /// Somebody answered at an address, or nobody did for this reason. The shard may be gone since, or have another one.
  mutating func probed(_ address: BulkAddress, failure: String?, at now: Instant, _ effects: inout [Effect]) {
    for shard in shardsInOrder {
      switch self[shard.id].connection.reach.probed(address, hasAnswered: failure == nil, at: now) {
      case .ofNoUse, .notReached(isSaid: true): break
      case .reached: isDirty = true
      case .notReached(isSaid: false):
        effects.append(
          .log(
            .warning,
            "Memory shard '\(shard.name)' cannot be reached at \(address.endpoint): \(failure ?? ""). Its rows are not "
              + "counted, and it gets none: give 'massl memory' an --advertise that the coordinator, workers and other "
              + "shards reach."))
      }
    }
  }

  /// It left, with its rows.
  mutating func leave(_ id: ShardID) {
    guard let peer = self[id].connection.peer else { return }
    byPeer[peer] = nil
    self[id].connection.peer = nil
    self[id].orders.pulling = [:]
    touch()
  }
}

extension ShardBoard.Reported {
  /// Takes in what a process has served so far, and works out how fast it does.
  fileprivate mutating func serve(rows: Int, bytes: Int, at now: Instant) {
    if let before = served.at, now - before >= CoordinationLimits.heartbeat / 2 {
      let seconds = (now - before) / .seconds(1)
      rowsPerSecond = Double(max(0, rows - served.rows)) / seconds
      bytesPerSecond = Double(max(0, bytes - served.bytes)) / seconds
    }
    served = (rows, bytes, now)
  }
}

// MARK: - Who holds what

extension ShardBoard {
  /// A shard has an extent, whatever it may be worth.
  /// - Parameter after: the low half of the digest after it.
  mutating func gain(_ index: Int, _ after: UInt64, _ id: ShardID) {
    self[id].reported.held[index] = after
    self[id].orders.pulling[index] = nil
    if let extent = extents[index] {
      guard after == extent.identity.after.low else {
        // Rows of another course of the run: from before a resume, or a change of its settings.
        self[id].orders.removing.insert(index)
        return
      }
      guard !self[id].orders.removing.contains(index), !extent.holders.contains(id) else { return }
      extents[index]?.holders = (extent.holders + [id]).sorted()
    } else if rows(of: index).upperBound <= oldestRow {
      self[id].orders.removing.insert(index)
    }
  }

  /// A shard does not have an extent any more.
  mutating func lose(_ index: Int, _ id: ShardID) {
    self[id].reported.held[index] = nil
    self[id].orders.removing.remove(index)
    // It may be one that nobody needs.
    extents[index]?.holders.removeAll { $0 == id }
  }
}
