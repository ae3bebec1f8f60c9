import Coordination
import MemoryBank
import Messages
import Numerics
import TestSupport

/// The memory shards' processes around the real machine: what each does with time, and with what the machine says.
extension Simulation {
  /// - Parameter former: one whose place it takes.
  mutating func addShard(inPlaceOf former: SimulatedShard? = nil) {
    guard let memory else { return }
    // Two a host; sometimes too small for all.
    let capacity = memory.extentBytes * (3 + Int(random.next(below: 20)))
    do {
      shards.append(
        try SimulatedShard(
          host: former?.host ?? "host\(shards.count / 2)", capacity: capacity,
          place: former?.place ?? UInt64(shards.count), &random))
    } catch {
      return fail("a new shard's directory: \(error)")
    }
    schedule(.starts(.shard(shards.count - 1)), in: random.next(below: Self.second))
  }

  mutating func startShard(_ index: Int) {
    do {
      try shards[index].start(forgetting: bug == .forgetsWhomItFollowed, at: Instant(nanoseconds: time))
    } catch {
      fail("\(shards[index].id) cannot open its directory: \(error)")
    }
  }

  mutating func beat(shard index: Int) {
    readThrough(index)
    if let damaged = shards[index].store?.damaged, !damaged.isEmpty { tell(.damaged(damaged), shard: index) }
    tell(.tick, shard: index)
  }

  /// One of its files, now and then: what is damaged is found so.
  private mutating func readThrough(_ index: Int) {
    guard !shards[index].spoilt.isEmpty, random.chance(0.3), let store = shards[index].store,
      let extent = store.held.keys.sorted().randomElement(using: &random)
    else { return }
    do {
      let isWhole = try store.verify(extent)
      if isWhole, shards[index].spoilt.contains(extent) { fail("damage to extent \(extent) is not seen") }
    } catch {
      fail("\(shards[index].id) reads extent \(extent): \(error)")
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
      .received(message, from: Sender(run: Self.run, incarnation: life, peer: PeerID(rawValue: 1))), shard: index)
  }
}

// MARK: - The machine

extension Simulation {
  /// Gives a shard's machine an event, checks it, and carries its effects out.
  mutating func tell(_ event: ShardEvent, shard index: Int) {
    guard shards[index].process.isUp else { return }
    let now = Instant(nanoseconds: time)
    let figures = ShardFigures(used: shards[index].store?.used ?? 0)
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
    case .say(let message, let sender): send(.fromShard(message, sender), from: .shard(index))
    case .join(_, let sender): join(sender, shard: index)
    case .leave: leave(index)
    case .copy(let extents): copy(extents, index)
    case .remove(let extent): remove(extent, shard: index)
    case .log: break
    case .stop(let ending): stop(ending, shard: index)
    }
  }

  private mutating func join(_ sender: Sender, shard index: Int) {
    guard let layout, let directory = shards[index].directory else { return fail("a welcome from nobody") }
    if sender.incarnation < shards[index].newestJoined {
      fail(
        "\(shards[index].id) joins incarnation \(sender.incarnation.number) after "
          + "\(shards[index].newestJoined.number)")
    }
    let isFull = shards[index].fullUntil > time
    if isFull { shards[index].storage.failOperation(after: Int(random.next(below: 6)), number: 28) }
    defer { if isFull { shards[index].storage.failOperation(after: Int.max / 2) } }
    do {
      try directory.adopt(layout, following: sender.incarnation)
      try shards[index].open(layout)
    } catch {
      if !isFull { fail("\(shards[index].id): \(error)") }
      note("notJoined")
      return tell(.notJoined(reason: "\(error)"), shard: index)
    }
    (shards[index].joined, shards[index].newestJoined) = (sender.incarnation, sender.incarnation)
    tell(.joined, shard: index)
  }

  private mutating func remove(_ extent: Int, shard index: Int) {
    note("removals")
    checkThatNobodyCountsOn(extent, of: shards[index])
    do {
      try shards[index].store?.remove(extent)
      shards[index].spoilt.remove(extent)
    } catch {
      fail("\(shards[index].id) removes extent \(extent): \(error)")
    }
    checkThatNothingIsLost()
    tell(.extent(.removed(extent)), shard: index)
  }

  private mutating func stop(_ ending: ShardEnding, shard index: Int) {
    shards[index].process.isUp = false
    guard ending == .finished else {
      // Somebody starts it again: a word of its predecessor's was late.
      note("turnedAway")
      return schedule(.starts(.shard(index)), in: 10 * Self.second)
    }
    shards[index].process.isGone = true
    if reportedDurable < lastStep {
      note("drained")
      shards[index].isDiskGone = true
      checkThatNothingIsLost()
    }
  }
}

// MARK: - What is done to them

extension Simulation {
  mutating func makeTroubleForShards() {
    for index in shards.indices where !shards[index].process.isGone {
      if random.chance(faults.shardCrash) { crashShard(index, losingPower: random.chance(faults.powerCut)) }
      if random.chance(faults.shardStop) {
        note("shardStops")
        stop(.shard(index))
      }
      if random.chance(faults.disconnection) { disconnect(.shard(index)) }
      if random.chance(faults.shardPartition) {
        note("shardPartitions")
        cut(.shard(index))
      }
      if random.chance(faults.slowCopies) { shards[index].slowUntil = time + random.next(below: 60 * Self.second) }
      if random.chance(faults.shardFullDisk) { shards[index].fullUntil = time + random.next(below: 60 * Self.second) }
    }
    let living = shards.indices.filter { !shards[$0].process.isGone }
    if random.chance(faults.shardAddition), living.count < 8 {
      note("additions")
      addShard()
    }
    if random.chance(faults.drain), let index = living.randomElement(using: &random) {
      ask(.drainRequest(shard: shards[index].id.description))
    }
    if random.chance(faults.drain / 2), let index = living.randomElement(using: &random) {
      ask(.stayRequest(shard: shards[index].id.description))
    }
    if random.chance(faults.shardDamage), let index = living.randomElement(using: &random) { damageShard(index) }
  }

  /// Somebody at a command line.
  private mutating func ask(_ message: WorkerMessage) {
    guard coordinator.stoppedUntil <= time else { return }
    tell(.message(message, from: Sender(run: Self.run, incarnation: incarnation, peer: PeerID(rawValue: 2))))
  }

  /// It starts again, mostly soon. A copy under way may be cut off at some call.
  mutating func crashShard(_ index: Int, losingPower: Bool) {
    guard shards[index].process.isUp else { return }
    note(losingPower ? "shardPowerCuts" : "shardCrashes")
    let held = (shards[index].store?.held ?? [:]).filter { !shards[index].spoilt.contains($0.key) }
    if random.chance(0.5) { tearCopy(index) }
    do {
      try shards[index].crash(losingPower: losingPower, &random)
      for (extent, mark) in held where shards[index].store?.held[extent] != mark {
        fail("\(shards[index].id) had extent \(extent) before it crashed, and has it no more")
      }
    } catch {
      fail("\(shards[index].id) cannot open its directory: \(error)")
    }
    disconnect(.shard(index))
    schedule(
      .starts(.shard(index)), in: random.next(below: random.chance(0.3) ? 60 * Self.second : 5 * Self.second))
  }

  /// Loses its disk, or damages an extent on it, unless as much was lost already as replicas are for.
  private mutating func damageShard(_ index: Int) {
    guard let memory, damages < memory.replicas - 1 else { return }
    if random.chance(0.5) {
      note("lostDisks")
      damages += 1
      (shards[index].process.isUp, shards[index].process.isGone) = (false, true)
      shards[index].isDiskGone = true
      addShard(inPlaceOf: random.chance(0.5) ? shards[index] : nil)
    } else if let layout,
      // One that is damaged twice may be whole again.
      let extent = shards[index].store?.held.keys.filter({ !shards[index].spoilt.contains($0) }).sorted()
        .randomElement(using: &random)
    {
      note("damages")
      damages += 1
      shards[index].spoilt.insert(extent)
      do {
        try shards[index].damage(extent, at: Int(random.next(below: UInt64(layout.capacity * layout.recordSize))))
      } catch {
        fail("\(shards[index].id) has no file of extent \(extent): \(error)")
      }
    }
    checkThatNothingIsLost()
  }
}
