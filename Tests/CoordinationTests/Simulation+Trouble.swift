import Coordination
import Messages
import Numerics
import TestSupport

/// What is done to the processes, each second.
extension Simulation {
  mutating func makeTrouble() {
    for index in workers.indices {
      if random.chance(faults.workerCrash) { crashWorker(index) }
      if random.chance(faults.workerStop) {
        stop(.worker(index))
      }
      if random.chance(faults.disconnection) { disconnect(.worker(index)) }
      if random.chance(faults.partition) { cut(.worker(index)) }
    }
    if !shards.isEmpty { makeTroubleForShards() }
    if random.chance(faults.coordinatorCrash) { crashCoordinator(losingPower: random.chance(faults.powerCut)) }
    guard coordinator.machine != nil, coordinator.stopped == nil else { return }
    if random.chance(faults.coordinatorStop) {
      note("stops")
      let until = time + random.next(below: 60 * Self.second)
      if coordinator.stoppedUntil <= time { coordinator.stoppedUntil = until }
    }
    if random.chance(faults.clockJump) {
      note("jumps")
      let length = random.next(below: 60 * Self.second)
      coordinator.clock = random.chance(0.5) ? coordinator.clock + length : coordinator.clock - length
    }
    if faults.pictureLoss > 0, random.chance(faults.pictureLoss) { losePicture() }
    if random.chance(faults.helloFlood) { floodWithHellos() }
    if random.chance(faults.lostLock) { breakLock() }
    if random.chance(faults.rival), coordinator.machine != nil {
      note("rivals")
      if !coordinator.disk.turnsAway(&random) { fail("a second coordinator got the run directory") }
    }
  }

  /// Strangers that nobody has heard of, and that are not heard again.
  private mutating func floodWithHellos() {
    note("floods")
    let kind = random.next(below: 3)
    for number in 0..<40 {
      let peer = PeerID(rawValue: random.next())
      let hello = Hello(
        protocolVersion: kind == 0 ? 7 : 1, name: "stranger", host: kind == 1 ? "crowd" : "stranger \(number)",
        threads: 1 + number, probe: kind == 2 && number.isMultiple(of: 2) ? Digest(high: 0, low: 0) : Self.probe)
      let sender = Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: peer)
      tell(.message(.hello(hello), from: sender))
    }
  }

  /// Not again while it is stopped: what waits in its socket comes in the order in which it arrived.
  mutating func stop(_ party: Party) {
    let until = time + random.next(below: 60 * Self.second)
    if self[party].stoppedUntil <= time { self[party].stoppedUntil = until }
  }

  /// Nothing gets through to it, from it, or both.
  mutating func cut(_ party: Party) {
    let until = time + random.next(below: 40 * Self.second)
    let kind = random.next(below: 3)
    if kind != 0 { self[party].cutTo = until }
    if kind != 1 { self[party].cutFrom = until }
  }

  /// Another takes its place within ten seconds.
  mutating func crashWorker(_ index: Int) {
    guard workers[index].process.isUp else { return }
    workers[index].process.isUp = false
    disconnect(.worker(index))
    schedule(.starts(.worker(index)), in: random.next(below: 10 * Self.second))
  }

  /// It starts again within five seconds. A checkpoint that it was writing is cut off at some call.
  mutating func crashCoordinator(losingPower: Bool) {
    guard let machine = coordinator.machine, coordinator.stopped == nil else { return }
    add(machine, to: &past)
    note("crashes")
    if losingPower { note("powerCuts") }
    if coordinator.writing != nil { note("tornWrites") }
    let rows = coordinator.isUpdating ? total.map { Truth.rows(of: $0, in: truth.tree) } : nil
    if rows != nil { note("tornRows") }
    let appending = random.chance(0.5) ? rows : nil
    coordinator.disk.crash(
      during: appending.map { .appending($0) } ?? coordinator.writing.map { .writing($0) } ?? extentWorkUnderWay,
      losingPower: losingPower, &random)
    // All on this machine.
    outlived = nil
    coordinator.machine = nil
    schedule(.coordinatorStarts, in: random.next(below: 5 * Self.second))
  }

  /// Somebody removes the lock file and starts another coordinator, or locks stop locking and another starts. The one that
  /// runs goes on, at once or after a while.
  private mutating func breakLock() {
    guard let machine = coordinator.machine, outlived == nil else { return }
    note("lostLocks")
    add(machine, to: &past)
    let locksNothing = faults.locksNothing
    if locksNothing {
      note("ignoredLocks")
      coordinator.disk.storage.ignoreLock(SimulatedDisk.lockPath)
    } else {
      coordinator.disk.storage.breakLock(SimulatedDisk.lockPath)
    }
    var old = coordinator
    old.hasLostLock = true
    if random.chance(0.5) { old.stoppedUntil = time + random.next(below: 20 * Self.second) }
    outlived = old
    coordinator.life += 1
    coordinator.machine = nil
    coordinator.disk.close()
    // Without locks the old one owns the run until the new one says that it has started.
    if locksNothing { return startCoordinator() }
    schedule(.coordinatorStarts, in: random.next(below: 5 * Self.second))
  }

  /// The process ends by itself; a supervisor starts it again.
  mutating func endCoordinator() {
    if !coordinator.hasLostLock {
      if let machine = coordinator.machine { add(machine, to: &past) }
      schedule(.coordinatorStarts, in: random.next(below: 5 * Self.second))
    }
    coordinator.machine = nil
    coordinator.disk.close()
  }
}
