import Coordination
import MemoryBank
import Messages

/// What must hold of the memory, wherever its rows are.
extension Simulation {
  /// Every row that a kept checkpoint needs can be had by whoever starts from it.
  mutating func checkKeptRows(onlyOldest: Bool = false) throws {
    try coordinator.disk.checkKeptRows(mayBeSpoilt ? nil : truth, onlyOldest: onlyOldest) { try rowsElsewhere($0) }
  }

  /// Each second.
  mutating func checkTheMemory() {
    guard memory != nil else { return }
    checkThatNothingIsLost()
    checkThatShardsHaveWhatCounts()
  }

  /// Every whole extent of the step's memory is on some disk that is not lost.
  mutating func checkThatNothingIsLost() {
    guard broken == nil, coordinator.machine != nil, !coordinator.hasLostLock, let layout = coordinator.disk.layout,
      let store = coordinator.disk.rows
    else { return }
    let window = coordinator.disk.stored(rows: coordinator.version.rows)
    let local = store.localExtents
    for record in store.sealed where layout.rows(of: record.index).overlaps(window) && !local.contains(record.index) {
      if !shards.contains(where: { $0.holds(record) }) { fail("extent \(record.index) is on no disk") }
    }
  }

  /// For a word that is said each second, and lost one time in five at most.
  private static let patience = 40 * second

  /// What the coordinator counts on a shard for, that shard has, or says soon that it has not. A coordinator whose clock was
  /// set back hears nothing of a shard that is silent until its clock goes on: for it no time has passed.
  mutating func checkThatShardsHaveWhatCounts() {
    var wrong: [ShardID: [Int: WronglyCounted]] = [:]
    defer { wronglyCounted = wrong }
    let window = coordinator.disk.stored(rows: coordinator.version.rows)
    guard let layout, let machine = coordinator.machine, coordinator.stoppedUntil <= time, !window.isEmpty else {
      return
    }
    let first = layout.index(of: window.lowerBound)
    let table = machine.holders(first: first, count: layout.index(of: window.upperBound - 1) - first + 1)
    for (offset, holders) in table.holders.enumerated() {
      for holder in holders {
        // One that was damaged is held until its shard has read it.
        guard let shard = shard(at: table.shards[holder]), shard.store?.held[first + offset] == nil else { continue }
        let since =
          wronglyCounted[shard.id]?[first + offset] ?? WronglyCounted(time: time, known: coordinator.newest)
        wrong[shard.id, default: [:]][first + offset] = since
        if time - since.time > Self.patience, coordinator.newest - since.known > .nanoseconds(Self.patience) {
          fail("extent \(first + offset) counts on \(shard.id), which does not have it")
        }
      }
    }
  }

  /// Whoever is told to remove an extent does not count as one who has it, for the coordinator that tells it.
  mutating func checkThatNobodyCountsOn(_ extent: Int, of shard: SimulatedShard) {
    guard let machine = coordinator(of: shard.joined)?.machine, let status = machine.memoryStatus(at: now) else {
      return
    }
    // Addresses do not tell: for a while one that died has that of whoever took its place.
    let present = status.shards.filter { $0.state != "away" }.map(\.id)
    let holders = machine.holders(first: extent, count: 1).holders.first ?? []
    if holders.contains(where: { present[$0] == shard.id.description }) {
      fail("extent \(extent) goes from \(shard.id), which counts for it")
    }
  }
}

// MARK: - At the end

extension Simulation {
  /// Runs on in the same step until every extent that is needed has its replicas, or as many as there are shards for it.
  mutating func awaitReplicas(secondsAtMost limit: UInt64) {
    guard memory != nil else { return }
    holdsUpdates = true
    defer { holdsUpdates = false }
    let end = time + limit * Self.second
    while broken == nil, coordinator.stopped == nil, let lack = extentWithoutReplicas {
      guard time < end else { return fail("after \(limit) s without a fault \(lack)") }
      run(toStep: nil, eventsAtMost: 50)
    }
  }

  private var extentWithoutReplicas: String? {
    guard let memory, let layout = coordinator.disk.layout, let store = coordinator.disk.rows,
      let status = coordinator.machine?.memoryStatus(at: now)
    else { return "the coordinator is down" }
    let window = coordinator.disk.stored(rows: coordinator.version.rows)
    let needed = store.sealed.filter { layout.rows(of: $0.index).overlaps(window) }
    let leaving = Set(status.shards.filter { $0.state == "draining" }.map(\.id))
    let able = shards.filter {
      !$0.process.isGone && !leaving.contains($0.id.description)
        && $0.capacity >= status.extents * memory.extentBytes
    }
    for record in needed {
      let holders = shards.filter { !$0.process.isGone && $0.holds(record) }
      if holders.count < min(memory.replicas, able.count) {
        let room = able.map { shard in
          "\(shard.id) has \(shard.store?.held.keys.sorted() ?? []) of \(shard.capacity / memory.extentBytes)"
        }
        return "extent \(record.index) has \(holders.count) replicas, though \(able.count) shards have room: "
          + room.joined(separator: ", ")
      }
      let table = coordinator.machine?.holders(first: record.index, count: 1)
      let named = Set(table?.holders.first?.compactMap { table?.shards[$0] } ?? [])
      if named != Set(holders.map(\.address)) {
        return "extent \(record.index) is held by \(holders.count) shards, and said to be held by \(named.count)"
      }
    }
    return nil
  }
}
