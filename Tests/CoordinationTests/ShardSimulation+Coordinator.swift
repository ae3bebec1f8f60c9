import Coordination
import Messages
import Numerics
import TestSupport

/// The process around the real coordinator.
extension ShardSimulation {
  mutating func startCoordinator() {
    incarnation = Incarnation(incarnation.number + 1)
    // The newest checkpoint may be the damaged one.
    if disk.checkpoints.count > 1, !isCalm, random.chance(0.5) {
      note("olderCheckpoints")
      disk.checkpoints.removeLast()
    }
    version = disk.checkpoints[disk.checkpoints.count - 1]
    let rows = version.rows
    chain = Array(chain.prefix(rows + 1))
    disk.rows = disk.rows.filter { $0.key < rows }
    (results, accepted, workerIsWelcome, workerIsGone) = ([:], nil, false, false)
    let oldest = max(0, disk.checkpoints[0].rows - memory.size)
    disk.ledger.entries = disk.ledger.entries.filter {
      let end = self.rows(of: $0.extent.index).upperBound
      return end <= rows && end > oldest
    }
    let known = Set(disk.ledger.entries.filter { !$0.holders.isEmpty }.map(\.extent.index))
    for row in window where disk.rows[row] == nil && !known.contains(row / memory.rowsPerExtent) {
      return fail("row \(row) of \(rows) is in no file, and the ledger names nobody")
    }
    let settings = CoordinatorSettings(
      run: Self.run, incarnation: incarnation, protocolVersion: 1, probe: Self.probe,
      welcome: Welcome(
        configuration: "", bulkPort: 9, data: DataIdentity(count: 10, digest: Self.probe), rows: rows),
      slices: 1, lastStep: lastStep, gradientCount: 1, floatsPerSlice: 1, checkpointEverySteps: 3, memory: memory,
      pictures: PictureSettings(name: { "\($0)" }, ofSlice: { _, _ in [] }))
    machine = Coordinator(
      settings, resuming: version, durableStep: version.step == 0 && rows == 0 ? nil : version.step,
      memory: ResumedMemory(
        ledger: disk.ledger, local: Set(disk.ledger.entries.map(\.extent.index).filter { local($0) != nil }),
        oldestRow: oldest, settledRows: disk.checkpoints[0].rows), at: now)
    schedule(.tick(incarnation), in: 0)
    schedule(.workerBeats(PeerID(rawValue: incarnation.number)), in: 0)
  }

  mutating func crashCoordinator() {
    guard let before = machine else { return }
    note("crashes")
    for _ in 0..<(before.memoryStatus(at: now)?.movesMade ?? 0) { note("moves") }
    machine = nil
    for index in shards.indices where random.chance(0.5) { tell(.connectionLost, shard: index) }
    // What was not flushed with a checkpoint is lost; more is a matter of luck.
    let flushed = disk.checkpoints[disk.checkpoints.count - 1].rows
    disk.rows = disk.rows.filter { $0.key < flushed }
    schedule(.coordinatorStarts, in: random.next(below: 5 * Self.second))
  }

  mutating func tell(_ event: Event) {
    guard machine != nil, stopped == nil else { return }
    let effects = machine!.handle(event, at: now)
    do { try machine!.checkInvariants() } catch { fail("\(error)") }
    for effect in effects { carryOut(effect) }
  }

  mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(let message, let peer):
      guard let index = indexOfPeer[peer] else {
        return schedule(.toWorker(message, incarnation, peer), in: 1_000_000)
      }
      transmit(.toShard(message, incarnation, peer), index)
    case .accept(let lease, _): accepted = results.removeValue(forKey: lease)
    case .startUpdate: schedule(.updated(incarnation), in: 10_000_000)
    case .writeCheckpoint:
      schedule(.checkpointWritten(incarnation, version), in: random.next(below: 2 * Self.second))
    case .writeLedger(let number, let ledger):
      let longest = bug == .reportsLedgersEarly ? 10 : 1
      schedule(.ledgerWritten(incarnation, number, ledger), in: random.next(below: UInt64(longest) * Self.second))
      if bug == .reportsLedgersEarly {
        schedule(.toCoordinator(.ledgerWritten(number: number, failure: nil), incarnation), in: 0)
      }
    case .releaseExtents(let extents):
      for extent in extents {
        note("releases")
        for row in rows(of: extent) { disk.rows[row] = nil }
      }
    case .probe(let address): schedule(.probed(incarnation, address), in: random.next(below: Self.second))
    case .fetchExtent(let assigned):
      schedule(.fetched(incarnation, assigned), in: random.next(below: 2 * Self.second))
    case .raiseFloor: fail("a floor was raised")
    case .stop(let reason):
      stopped = reason
      if reason == .finished { finalVersion = version }
    case .sendStatus, .sendMemory, .expectPush, .abandonPush, .recompute, .quarantine, .examinePicture, .recordLost,
      .startOver, .hashWeights, .nameWeightSources, .log:
      break
    }
  }

  mutating func update() {
    guard let result = accepted else { return fail("an update without a result") }
    accepted = nil
    let first = version.rows
    for row in first..<first + Self.rowsPerStep {
      let content = SplitMix64.mixed(result.low ^ UInt64(row))
      disk.rows[row] = content
      chain.append(Self.mixed(chain[row], content))
    }
    let student = Self.mixed(result, 5)
    version = VersionIdentity(
      step: version.step + 1, student: student, teacher: Self.probe, rows: first + Self.rowsPerStep, memoryFloor: 0)
    for extent in first / memory.rowsPerExtent...version.rows / memory.rowsPerExtent
    where rows(of: extent).upperBound <= version.rows && rows(of: extent).upperBound > first {
      tell(
        .extentSealed(
          ExtentIdentity(
            index: extent, before: chain[rows(of: extent).lowerBound], after: chain[rows(of: extent).upperBound])))
    }
    tell(.updateFinished(version))
  }

  /// Its rows were flushed first, and the table of sealed extents with them.
  mutating func finishCheckpoint(_ version: VersionIdentity) {
    for extent in 0..<version.rows / memory.rowsPerExtent
    where !disk.ledger.entries.contains(where: { $0.extent.index == extent }) && local(extent) != nil {
      disk.ledger.entries.append(
        LedgerEntry(
          extent: ExtentIdentity(
            index: extent, before: chain[rows(of: extent).lowerBound], after: chain[rows(of: extent).upperBound]),
          holders: []))
    }
    disk.checkpoints = disk.checkpoints.suffix(1) + [version]
    let oldest = max(0, disk.checkpoints[0].rows - memory.size)
    disk.rows = disk.rows.filter { self.rows(of: $0.key / memory.rowsPerExtent).upperBound > oldest }
    tell(.checkpointFinished(step: version.step, failure: nil))
    tell(.rowsNeeded(from: oldest, settled: disk.checkpoints[0].rows))
  }

  mutating func fetch(_ assigned: AssignedExtent) {
    guard let rows = copy(assigned) else {
      return tell(.extentFetched(assigned.extent.index, failure: "nobody has it"))
    }
    note("fetches")
    for (row, content) in zip(self.rows(of: assigned.extent.index), rows) { disk.rows[row] = content }
    tell(.extentFetched(assigned.extent.index, failure: nil))
  }
}
