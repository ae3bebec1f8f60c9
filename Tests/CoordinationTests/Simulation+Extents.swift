import Coordination
import Durability
import MemoryBank
import Messages

/// What the coordinator's process does about extents: its thread for the ledger and its own files, and copies back from
/// shards that leave.
extension Simulation {
  mutating func carryOutForShards(_ effect: Effect) {
    guard memory != nil else { return fail("\(effect) of a run without memory shards") }
    let life = coordinator.life
    switch effect {
    case .writeLedger(let number, let ledger):
      let longest = bug == .reportsLedgersEarly ? 10 * Self.second : Self.second
      queueForExtents(.writeLedger(number: number, ledger), within: longest)
      if bug == .reportsLedgersEarly {
        schedule(
          .answered(
            life: life, restarts: coordinator.restarts, .ledgerWritten(number: number, failure: nil)), in: 0)
      }
    case .releaseExtents(let extents): queueForExtents(.release(extents), within: Self.second / 10)
    case .fetchExtent(let assigned): queueForExtents(.fetch(assigned), within: Self.second / 10)
    default: fail("\(effect) of a run that loses no rows")
    }
  }

  private mutating func queueForExtents(_ work: SimulatedDisk.ExtentWork, within longest: UInt64) {
    coordinator.extentWork.append(work)
    schedule(.extentsWorkedOn(life: coordinator.life), in: random.next(below: longest))
  }

  /// What it would be at if it died now.
  var extentWorkUnderWay: SimulatedDisk.Work? { coordinator.extentWork.first.map { .extents($0) } }

  mutating func workOnExtents() {
    if random.chance(faults.coordinatorCrash / 10), !coordinator.hasLostLock {
      note("tornExtentWork")
      return crashCoordinator(losingPower: random.chance(faults.powerCut))
    }
    let work = coordinator.extentWork.removeFirst()
    let before = (coordinator.disk.rows?.holders, coordinator.disk.rows?.localExtents)
    let isFull = random.chance(faults.checkpointFailure)
    var failure: String?
    do {
      try coordinator.disk.carryOut(work, onFullDisk: isFull ? random.next() : nil)
    } catch {
      if !isFull, !coordinator.hasLostLock { fail("extents: \(error)") }
      failure = "\(error)"
    }
    if coordinator.hasLostLock, before != (coordinator.disk.rows?.holders, coordinator.disk.rows?.localExtents) {
      fail("a coordinator without its lock changed who has the memory's extents")
    }
    switch work {
    case .writeLedger(let number, _):
      if failure != nil { note("failedLedgers") }
      if bug != .reportsLedgersEarly { tell(.ledgerWritten(number: number, failure: failure)) }
    case .fetch(let assigned):
      schedule(.extentFetched(life: coordinator.life, assigned), in: random.next(below: 2 * Self.second))
    case .release(let extents):
      for _ in extents { note("releases") }
      checkThatNothingIsLost()
    }
  }

  mutating func fetch(_ assigned: AssignedExtent) {
    guard let rows = coordinator.disk.rows else { return }
    let extent = assigned.extent.index
    let outcome = copy(ExtentRecord(assigned.extent), from: assigned.sources, of: incarnation) { try rows.begin($0) }
    switch outcome {
    case .held:
      note("fetches")
      if coordinator.hasLostLock { fail("a coordinator without its lock fetched extent \(extent)") }
      tell(.extentFetched(extent, failure: nil))
    case .noRoom(let reason):
      if !coordinator.hasLostLock { fail("extent \(extent) is not fetched: \(reason)") }
      tell(.extentFetched(extent, failure: reason))
    case .failed: tell(.extentFetched(extent, failure: "nobody has it"))
    }
  }

  /// What a checkpoint's writing has to tell.
  mutating func tellOfExtents(_ events: [Event]) {
    guard memory != nil else { return }
    for event in events { tell(event) }
  }

  /// As after the advice that a damaged checkpoint comes with: whoever starts the coordinator removes it.
  mutating func loseNewestCheckpoint() {
    do {
      guard try coordinator.disk.loseNewestCheckpoint(before: lastStep) else { return }
      note("olderCheckpoints")
      reportedDurable = -1
    } catch {
      fail("checkpoints: \(error)")
    }
  }
}
