import Coordination
import Messages
import Numerics
import TestSupport

/// The memory shards' processes around the real machine: what each does with time, and with what the machine says.
extension ShardSimulation {
  /// - Parameter former: one whose place it takes.
  mutating func addShard(inPlaceOf former: SimulatedShard? = nil) {
    // Two a host; sometimes too small for all.
    shards.append(
      SimulatedShard(
        id: ShardID(high: 9, low: UInt64(shards.count)), host: former?.host ?? "host\(shards.count / 2)",
        capacity: memory.extentBytes * (3 + Int(random.next(below: 20))), place: former?.place ?? UInt64(shards.count)))
    schedule(.shardStarts(shards.count - 1), in: random.next(below: Self.second))
  }

  mutating func startShard(_ index: Int) {
    guard !shards[index].isGone, !shards[index].isUp else { return }
    let peer = PeerID(rawValue: random.next() | 1 << 63)
    indexOfPeer[peer] = index
    let held = Dictionary(uniqueKeysWithValues: shards[index].disk.map { ($0, after($1, $0)) })
    shards[index].start(as: peer, holding: held, at: now)
    wronglyCounted[shards[index].id] = nil
    schedule(.shardBeats(index, peer), in: 0)
  }

  mutating func crashShard(_ index: Int) {
    guard shards[index].isUp else { return }
    note("shardCrashes")
    shards[index].isUp = false
    schedule(.shardStarts(index), in: random.next(below: random.chance(0.3) ? 60 * Self.second : 5 * Self.second))
  }

  mutating func transmit(_ happening: Happening, _ index: Int) {
    guard shards[index].cutUntil <= time else { return }
    if !isCalm, random.chance(faults.loss) { return note("losses") }
    for _ in 0..<(!isCalm && random.chance(faults.duplication) ? 2 : 1) {
      var flight = 100_000 + random.next(below: 5_000_000)
      if !isCalm, random.chance(faults.lateness) { flight += random.next(below: faults.longestDelay) }
      schedule(happening, in: flight)
    }
  }

  mutating func shard(_ index: Int, hears message: CoordinatorMessage, of life: Incarnation) {
    var message = message
    if case .assignment(var assignment) = message, let newest = shards[index].machine?.assignment {
      if assignment.number < newest { note("lateAssignments") }
      if bug == .heedsOvertakenAssignments { assignment.number = max(assignment.number, newest) }
      message = .assignment(assignment)
    }
    tell(
      .received(message, from: Sender(run: Self.run, incarnation: life, peer: PeerID(rawValue: 0))), shard: index)
  }
}

// MARK: - The machine

extension ShardSimulation {
  /// Gives a shard's machine an event, checks it, and carries its effects out.
  mutating func tell(_ event: ShardEvent, shard index: Int) {
    guard shards[index].isUp else { return }
    let (now, figures) = (now, ShardFigures(used: shards[index].disk.count * memory.extentBytes))
    shards[index].machine?.figures = figures
    let effects = shards[index].machine?.handle(event, at: now) ?? []
    do {
      try shards[index].machine?.checkInvariants()
    } catch {
      fail("\(error), after \(event)")
    }
    for effect in effects { carryOut(effect, shard: index) }
  }

  private mutating func carryOut(_ effect: ShardEffect, shard index: Int) {
    switch effect {
    case .say(let message, let sender):
      transmit(.toCoordinator(.shardMessage(message, from: sender), incarnation), index)
    case .join:
      shards[index].run = Self.run
      tell(.joined, shard: index)
    case .leave: shards[index].leave()
    case .copy(let extents): copy(extents, index)
    case .remove(let extent):
      note("removals")
      checkThatNobodyCountsOn(extent, of: shards[index])
      shards[index].disk[extent] = nil
      tell(.extent(.removed(extent)), shard: index)
    case .log: break
    case .stop(let ending): stopShard(index, ending)
    }
  }

  private mutating func stopShard(_ index: Int, _ ending: ShardEnding) {
    shards[index].isUp = false
    if ending == .finished, version.step < lastStep {
      note("drained")
      shards[index].isGone = true
      return
    }
    // Somebody starts it again: where the run is over, the coordinator may fall back to a checkpoint; where it was turned
    // away, a word of its predecessor's was late.
    note(ending == .finished ? "endings" : "turnedAway")
    schedule(.shardStarts(index), in: 10 * Self.second)
  }
}

// MARK: - Copying

extension ShardSimulation {
  private mutating func copy(_ extents: [AssignedExtent], _ index: Int) {
    var extents = extents
    let underWay = shards[index].wanted.first?.extent
    if bug == .reportsCopiesEarly {
      extents =
        shards[index].wanted + extents.filter { new in !shards[index].wanted.contains { $0.extent == new.extent } }
    }
    if let place = extents.firstIndex(where: { $0.extent == underWay }) {
      extents.swapAt(0, place)
      shards[index].wanted = extents
    } else {
      shards[index].wanted = extents
      beginCopy(index)
    }
    guard bug == .reportsCopiesEarly else { return }
    for extent in extents.map(\.extent) {
      tell(.extent(.held(HeldExtent(index: extent.index, after: extent.after.low))), shard: index)
    }
  }

  private mutating func beginCopy(_ index: Int) {
    shards[index].copyNumber += 1
    guard !shards[index].wanted.isEmpty else { return }
    let longest = (shards[index].slowUntil > time ? 40 : 2) * Self.second
    schedule(.copied(index, shards[index].peer, shards[index].copyNumber), in: random.next(below: longest))
  }

  mutating func copied(_ index: Int, _ number: Int) {
    guard number == shards[index].copyNumber else { return }
    let progress = end(shards[index].wanted.removeFirst(), index)
    beginCopy(index)
    tell(.extent(progress), shard: index)
  }

  private mutating func end(_ assigned: AssignedExtent, _ index: Int) -> ExtentProgress {
    let extent = assigned.extent.index
    if shards[index].fullUntil > time {
      note("fullDisks")
      return .noRoom(extent, reason: "no space left")
    }
    guard shards[index].cutUntil <= time, let rows = copy(assigned) else {
      note("failedCopies")
      return .notCopied(extent, reason: "nobody has it")
    }
    note("copies")
    shards[index].disk[extent] = rows
    return .held(HeldExtent(index: extent, after: assigned.extent.after.low))
  }

  /// Its rows, from the first source that has them.
  func copy(_ assigned: AssignedExtent) -> [UInt64]? {
    for source in assigned.sources {
      switch source {
      case .coordinator:
        if machine != nil, let rows = local(assigned.extent.index), Self.isRight(rows, assigned.extent) { return rows }
      case .shard(let address):
        guard let shard = shards.first(where: { !$0.isGone && $0.address == address }), shard.isUp,
          shard.cutUntil <= time,
          let rows = shard.disk[assigned.extent.index], Self.isRight(rows, assigned.extent)
        else { continue }
        return rows
      }
    }
    return nil
  }
}
