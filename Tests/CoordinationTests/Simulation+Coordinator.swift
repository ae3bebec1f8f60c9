import Coordination
import Durability
import MemoryBank
import Messages
import Numerics
import Slices
import TestSupport

/// The coordinator's process around the real state machine, and the checks of all that the machine asks for.
extension Simulation {
  var settings: CoordinatorSettings {
    CoordinatorSettings(
      run: Self.run, incarnation: incarnation,
      compatibility: Compatibility(protocolVersion: 1, probe: Self.probe),
      welcome: Welcome(configuration: "", bulkPort: 1, data: DataIdentity(count: 1000, digest: Self.probe), rows: 0),
      shape: StepShape(slices: truth.tree.count, gradientCount: Self.parameters, floatsPerSlice: 10),
      lastStep: lastStep,
      checkpoints: CheckpointCadence(everySteps: shape.checkpointEverySteps, every: .seconds(30)), audits: audits,
      exchanges: exchanges || seed.isMultiple(of: 2) ? true : nil, memory: memory,
      pictures: PictureSettings(name: { "picture \($0)" }, ofSlice: { _, slice in [slice] }, lost: recordedLoss),
      evaluation: evaluation)
  }

  var incarnation: Incarnation { Incarnation(coordinator.disk.incarnation) }

  /// As the process hears it.
  func heard(_ sender: Sender) -> Sender {
    var sender = sender
    if bug == .takesResultsOfOlderIncarnations { sender.incarnation = incarnation }
    return sender
  }

  /// The newest checkpoint, which must be a calm run's, as must be the rows; nil if there is none, or something is wrong.
  mutating func openDisk() -> Outcome? {
    let before = coordinator.disk.incarnation
    do {
      let newest = try coordinator.disk.open(&random)
      layout = coordinator.disk.layout ?? layout
      if incarnation.number <= before { fail("incarnation \(incarnation.number) after \(before)") }
      let step = newest?.version.step ?? -1
      if step < reportedDurable { fail("checkpoint \(reportedDurable) was durable, but \(step) is the newest") }
      guard let newest else { return nil }
      let stored = coordinator.disk.stored(rows: newest.version.rows)
      let rows = try rowsOnDisks(stored)
      try checkKeptRows()
      let outcome = Outcome(version: newest.version, memory: newest.memory, rows: rows)
      guard !mayBeSpoilt else { return outcome }
      if newest.version != truth.versions[step] { fail("checkpoint \(step) has other bits than a calm run's") }
      if newest.memory != truth.memories[step] { fail("checkpoint \(step) has another memory than a calm run's") }
      if rows != truth.rows(stored) { fail("rows \(stored) have other bits than a calm run's") }
      return outcome
    } catch {
      fail("the run directory: \(error)")
      return nil
    }
  }

  mutating func startCoordinator() {
    guard coordinator.machine == nil, coordinator.stopped == nil else { return }
    coordinator.life += 1
    coordinator.clock = Self.clockAtStart
    coordinator.stoppedUntil = 0
    if memory != nil, outlived == nil, random.chance(faults.checkpointLoss) { loseNewestCheckpoint() }
    let newest = openDisk()
    guard broken == nil else { return }
    let version = newest?.version ?? truth.versions[0]
    coordinator.hasLostLock = false
    (coordinator.newest, wronglyCounted) = (now, [:])
    coordinator.version = version
    openEvaluations(resuming: version.step)
    coordinator.memory = newest?.memory ?? truth.memories[0]
    coordinator.previous = nil
    coordinator.course = Array(coordinator.course.prefix(version.rows * Truth.width))
    coordinator.extentWork = []
    coordinator.machine = Coordinator(
      settings, resuming: version, durableStep: newest?.version.step, memory: coordinator.disk.resumedMemory, at: now)
    coordinator.expected = [:]
    coordinator.arrived = [:]
    coordinator.sum = TreeSum(tree: truth.tree)
    coordinator.acceptedSlices = []
    coordinator.reduction = SimulatedReduction()
    coordinator.isUpdating = false
    coordinator.writing = nil
    coordinator.exchange = SimulatedExchange()
    schedule(.tick(life: coordinator.life), in: 0)
  }

  /// Gives the machine an event, checks it, and carries its effects out.
  mutating func tell(_ event: Event) {
    guard coordinator.machine != nil, coordinator.stopped == nil else { return }
    let now = now
    coordinator.newest = max(coordinator.newest, now)
    let effects = coordinator.machine?.handle(event, at: now) ?? []
    do {
      try coordinator.machine?.checkInvariants()
    } catch {
      fail("\(error), after \(event)")
    }
    for effect in effects { carryOut(effect) }
  }

  mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(let message, let peer):
      if case .lease(let lease) = message { checkSources(of: lease) }
      guard let party = partyOfPeer[peer] else { return saidToStrangers.append(message) }
      send(.toPeer(message, incarnation, peer), to: party)
    case .expectPush(let lease, _, let finished, let keepsGradient):
      if coordinator.expected[lease] != nil { fail("lease \(lease.number) is expected twice") }
      coordinator.expected[lease] = finished
      if keepsGradient { coordinator.keeping.insert(lease) } else { coordinator.keeping.remove(lease) }
      let whole = coordinator.expected.keys.count { !coordinator.keeping.contains($0) }
      if whole > CoordinationLimits.gradientsInFlight { fail("too many gradients in flight") }
    case .abandonPush(let lease):
      if coordinator.expected.removeValue(forKey: lease) == nil { fail("lease \(lease.number) was not expected") }
    case .accept(let lease, let finished): accept(lease, finished)
    case .startUpdate(let step):
      if coordinator.isUpdating || step != coordinator.version.step { fail("update of step \(step) out of turn") }
      if total == nil { fail("update of step \(step) with \(coordinator.sum.waitingNodes)") }
      coordinator.isUpdating = true
      schedule(.updated(life: coordinator.life), in: random.next(below: Self.second / 5))
    case .writeCheckpoint(let step): beginCheckpoint(of: step)
    case .stop(.rollsBack): rollBack()
    case .sendMemory: break
    case .hashWeights, .nameWeightSources, .probe: carryOutExchange(effect)
    case .writeLedger, .releaseExtents, .fetchExtent, .raiseFloor: carryOutForShards(effect)
    case .stop(.failed), .stop(.retryable):
      // Its supervisor starts it again; a run that fails each time does not finish, and is found so.
      note("failures")
      endCoordinator()
    case .stop(let reason):
      if (try? coordinator.disk.verifyLock()) == nil { return endCoordinator() }
      if coordinator.hasLostLock { return fail("a coordinator without its lock stopped: \(reason)") }
      coordinator.stopped = reason
      guard reason == .finished else { return }
      // Whatever happens to the machine from here on, the end of the run is on its disk.
      coordinator.disk.crash(during: nil, losingPower: true, &random)
      outcome = openDisk()
      if outcome?.version.step != lastStep { fail("finished without a checkpoint") }
    case .recompute(let step, let slices, let hashesGradient):
      recompute(slices, of: step, hashesGradient: hashesGradient)
    case .forgetResult, .expectSums, .abandonSums, .reduce: carryOutReduction(effect)
    case .quarantine(let hosts, let step): quarantine(hosts, rollingBackTo: step)
    case .recordLost(let pictures): record(pictures)
    case .startOver: startOver()
    case .evaluated(let evaluation): record(evaluation)
    case .examinePicture(let picture):
      let verdict = Event.pictureExamined(picture, .decodes)
      schedule(
        .answered(life: coordinator.life, restarts: coordinator.restarts, verdict), in: random.next(below: Self.second))
    case .sendStatus, .log: break
    }
  }

  mutating func arrive(_ lease: LeaseID, _ payload: Digest, from sender: Sender) {
    guard coordinator.machine != nil, sender.incarnation == incarnation else { return }
    guard let finished = coordinator.expected[lease] else {
      if bug == .countsDuplicatePushes, let again = coordinator.arrived[lease], again.payload == payload { add(again) }
      return answerPush(lease, isTaken: false, sender)
    }
    coordinator.arrived[lease] = finished
    answerPush(lease, isTaken: true, sender)
    tell(.pushArrived(lease, payload == finished.payload ? .whole : .damaged))
  }

  private mutating func answerPush(_ lease: LeaseID, isTaken: Bool, _ sender: Sender) {
    send(.pushEnded(lease, isTaken: isTaken, sender.incarnation, sender.peer), to: partyOfPeer[sender.peer])
  }

  mutating func accept(_ lease: LeaseID, _ finished: Finished) {
    guard coordinator.expected.removeValue(forKey: lease) == finished, coordinator.arrived[lease] == finished else {
      return fail("lease \(lease.number) is accepted without its payload")
    }
    add(finished)
  }

  mutating func add(_ finished: Finished) {
    guard finished.step == coordinator.version.step else {
      return fail("a result of step \(finished.step) counts in step \(coordinator.version.step)")
    }
    if let loss = finished.losses.first(where: { $0.consistency != Double(incarnation.number) }) {
      return fail("a result of incarnation \(Int(loss.consistency)) counts in incarnation \(incarnation.number)")
    }
    for slice in finished.slices.indices where !coordinator.acceptedSlices.insert(slice).inserted {
      return fail("slice \(slice) of step \(finished.step) is counted twice")
    }
    if finished.gradient == nil {
      coordinator.sum.insert(finished.payload, at: finished.slices, add: Truth.sum)
    } else {
      coordinator.reduction.results[finished.slices] = (finished, coordinator.keeping.contains(finished.lease))
    }
  }

  mutating func update() {
    if holdsUpdates { return schedule(.updated(life: coordinator.life), in: Self.second) }
    guard let total else { return fail("an update without a sum") }
    if random.chance(faults.coordinatorCrash), !coordinator.hasLostLock {
      return crashCoordinator(losingPower: random.chance(faults.powerCut))
    }
    let rows = Truth.rows(of: total, in: truth.tree)
    guard enqueue(rows) else { return }
    coordinator.course += rows.array
    coordinator.previous = coordinator.version
    coordinator.version = Truth.updated(coordinator.version, with: total, in: truth.tree)
    if coordinator.version != truth.versions[coordinator.version.step], !mayBeSpoilt {
      fail("step \(coordinator.version.step) has other bits than a calm run's")
    }
    coordinator.sum = TreeSum(tree: truth.tree)
    coordinator.acceptedSlices = []
    coordinator.reduction = SimulatedReduction()
    coordinator.arrived = [:]
    coordinator.isUpdating = false
    coordinator.exchange.isHashed = coordinator.exchange.isHashing
    tell(.updateFinished(coordinator.version, isHashed: coordinator.exchange.isHashed))
  }

  /// Stores a step's rows. A full disk is waited for; without its lock the process ends.
  /// - Returns: whether they are stored.
  private mutating func enqueue(_ rows: Matrix) -> Bool {
    guard let store = coordinator.disk.rows else { return false }
    let before = (store.rows, store.digest)
    do {
      try coordinator.disk.append(rows, onFullDisk: random.chance(faults.rowFailure) ? random.next() : nil)
      if coordinator.hasLostLock { fail("a coordinator without its lock stored rows") }
      let step = coordinator.version.step + 1
      coordinator.memory = store.digest.state
      if coordinator.memory != truth.memories[step], !mayBeSpoilt {
        fail("step \(step) has another memory than a calm run's")
      }
      // The oldest of the memory and the newest, as a worker may want them.
      let stored = coordinator.disk.stored(rows: store.rows)
      for number in [stored.lowerBound, stored.upperBound - 1] {
        let row = number..<(number + 1)
        if try rowsOnDisks(row) != truth.rows(row), !mayBeSpoilt { fail("row \(number) has other bits") }
      }
      return true
    } catch let error as DurabilityError where error.isOutOfSpace {
      note("fullDisks")
      if before != (store.rows, store.digest) { fail("rows count that there was no room for") }
      schedule(.updated(life: coordinator.life), in: Self.second)
    } catch let error as DurabilityError where error.isLostLock {
      if !coordinator.hasLostLock { fail("the lock was lost to nobody") }
      endCoordinator()
    } catch {
      fail("rows: \(error)")
    }
    return false
  }

  mutating func tick(_ happening: Happening) {
    // The real process looks at each tick; this one seldom, so that the other looks are needed.
    if random.chance(0.02), (try? coordinator.disk.verifyLock()) == nil { return endCoordinator() }
    schedule(happening, in: Self.second / 10)
    tell(.tick)
  }

  mutating func beginCheckpoint(of step: Int) {
    if coordinator.writing != nil { fail("two checkpoints at once") }
    coordinator.disk.unaudited = coordinator.machine?.unauditedHosts(before: step) ?? [:]
    if step != coordinator.version.step || coordinator.isUpdating { fail("checkpoint of step \(step) out of turn") }
    coordinator.writing = SimulatedDisk.Saved(version: coordinator.version, memory: coordinator.memory)
    if bug == .claimsStepsBeforeTheirUpdate, var claimed = coordinator.previous {
      claimed.step = step
      coordinator.writing = SimulatedDisk.Saved(version: claimed, memory: coordinator.memory)
    }
    if bug == .reportsCheckpointsEarly { reportedDurable = max(reportedDurable, step) }
    schedule(
      .written(life: coordinator.life, fails: random.chance(faults.checkpointFailure)),
      in: random.next(below: 2 * Self.second))
  }

  mutating func finishCheckpoint(fails: Bool) {
    if random.chance(faults.coordinatorCrash), !coordinator.hasLostLock {
      return crashCoordinator(losingPower: random.chance(faults.powerCut))
    }
    guard let saved = coordinator.writing else { return fail("a checkpoint that was not begun") }
    coordinator.writing = nil
    let step = saved.version.step
    var said: [Event] = []
    do {
      try coordinator.disk.write(saved, onFullDisk: fails ? random.next() : nil, saying: &said)
      if coordinator.hasLostLock { fail("a coordinator without its lock wrote a checkpoint") }
      reportedDurable = max(reportedDurable, step)
      do { try checkKeptRows(onlyOldest: true) } catch {
        fail("after checkpoint \(step): \(error)")
      }
      tellOfExtents(said)
      tell(.checkpointFinished(step: step, failure: nil))
    } catch let lost as SimulatedDisk.Lost {
      note(coordinator.hasLostLock ? "lostCheckpoints" : "lostFlushes")
      if lost.reason is DurabilityError, !coordinator.hasLostLock { fail("the lock was lost to nobody") }
      endCoordinator()
    } catch {
      if !fails { fail("checkpoint \(step): \(error)") }
      tellOfExtents(said)
      tell(.checkpointFinished(step: step, failure: "\(error)"))
    }
  }
}
