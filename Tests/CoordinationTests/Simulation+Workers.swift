import Coordination
import Messages
import Numerics
import Slices
import TestSupport

/// The workers' processes around the real machine: what each does with time, and with what the machine says.
extension Simulation {
  /// For an answer to a push, as long as the real one waits.
  private static let pushPatience = 20 * second

  mutating func beat(worker index: Int) {
    tell(.tick, worker: index)
    if workers[index].session > 0, random.chance(faults.nonsense) { talkNonsense(index) }
  }

  mutating func talkNonsense(_ index: Int) {
    guard let sender = workers[index].machine?.sender else { return }
    let stray = LeaseID(random.next(below: 60))
    switch random.next(below: 5) {
    case 0: say(.ready(Ready(idleThreads: -1, held: [])), as: sender, index)
    case 1: say(.returned(Returned(lease: stray, reason: "never had it")), as: sender, index)
    case 2:
      say(
        .finished(
          Finished(
            lease: stray, step: .max, slices: SliceRange(first: .min, count: .max), payload: Self.probe,
            payloadCount: -1, losses: [], undecodable: [])), as: sender, index)
    case 3:
      let older = Sender(run: sender.run, incarnation: Incarnation(0), peer: sender.peer)
      say(.ready(Ready(idleThreads: workers[index].threads, held: [])), as: older, index)
    default:
      let other = Sender(run: RunIdentity(high: 1, low: 1), incarnation: sender.incarnation, peer: sender.peer)
      say(.goodbye, as: other, index)
    }
  }

  mutating func worker(_ index: Int, hears message: CoordinatorMessage, of incarnation: Incarnation) {
    var sender = Sender(run: Self.run, incarnation: incarnation, peer: PeerID(rawValue: 1))
    workers[index].hearing = incarnation
    if bug == .heedsOlderIncarnations, let followed = workers[index].machine?.sender.incarnation {
      sender.incarnation = max(incarnation, followed)
    }
    tell(.received(message, from: sender), worker: index)
  }
}

// MARK: - The machine

extension Simulation {
  /// Gives a worker's machine an event, checks it, and carries its effects out.
  mutating func tell(_ event: WorkerEvent, worker index: Int) {
    guard workers[index].process.isUp else { return }
    let now = Instant(nanoseconds: time)
    let effects = workers[index].machine?.handle(event, at: now) ?? []
    do {
      try workers[index].machine?.checkInvariants()
    } catch {
      fail("\(error), after \(event)")
    }
    for effect in effects { carryOut(effect, worker: index) }
  }

  private mutating func tell(_ progress: WorkerProgress, worker index: Int) {
    let session = workers[index].session
    tell(.work(progress, session: session), worker: index)
  }

  private mutating func carryOut(_ effect: WorkerEffect, worker index: Int) {
    switch effect {
    case .say(let message, let sender): say(message, as: sender, index)
    case .join(_, _, let session):
      workers[index].session = session
      tell(
        .joined(
          LeaseBounds(steps: lastStep, tree: truth.tree, pictures: 1000, parameters: Self.parameters),
          gradientRoom: workers[index].gradientRoom),
        worker: index)
    case .leave: workers[index].leave()
    case .compute(let lease):
      workers[index].jobs.append(SimulatedWorker.Job(lease: lease, incarnation: workers[index].hearing))
      computeWhatWaits(index)
    case .push(let lease, _): push(lease, index)
    case .forget(let lease): forget(lease, index)
    case .reduce(let reduction): reduce(reduction, index)
    case .evaluate(let evaluate): self.evaluate(evaluate, index)
    case .stopEvaluating: workers[index].evaluating = nil
    case .log: break
    case .stop(let ending):
      // The run is over, or its host is in quarantine: nobody starts it again.
      workers[index].process.isUp = false
      workers[index].process.isGone = true
      if ending != .finished, !liars.contains(workers[index].host) { fail("worker \(index) ended: \(ending)") }
    }
  }
}

// MARK: - Threads

extension Simulation {
  private mutating func computeWhatWaits(_ index: Int) {
    for place in workers[index].jobs.indices where workers[index].jobs[place].threads == 0 {
      let idle = workers[index].idleThreads
      guard idle > 0 else { return }
      let lease = workers[index].jobs[place].lease
      let slices = lease.slices.count
      let threads = min(idle, slices)
      workers[index].jobs[place].threads = threads
      var duration = neverPushes(index) ? 0 : workers[index].pace * UInt64((slices + threads - 1) / threads)
      if random.chance(faults.workerHang) { duration += random.next(below: 300 * Self.second) }
      schedule(
        .computed(index, life: workers[index].process.life, session: workers[index].session, lease.lease), in: duration)
    }
  }

  mutating func computed(_ id: LeaseID, _ session: Int, _ index: Int) {
    guard session == workers[index].session,
      let place = workers[index].jobs.firstIndex(where: { $0.lease.lease == id && $0.threads > 0 })
    else { return }
    let job = workers[index].jobs.remove(at: place)
    let (lease, slice) = (job.lease, job.lease.step * 100 + job.lease.slices.first)
    if job.isForgotten {
      // Its slices were passed over.
    } else if random.chance(faults.givingBack), givenBack[slice, default: 0] < 2 {
      givenBack[slice, default: 0] += 1
      tell(.failed(Returned(lease: id, reason: "read error")), worker: index)
    } else if let absence = absence(ofRowsFor: job) {
      note("waits")
      tell(.failed(Returned(lease: id, reason: absence, isPassing: true)), worker: index)
    } else {
      let finished = finished(job, index)
      workers[index].results[id] = finished
      tell(.computed(finished), worker: index)
    }
    tell(.slicesEnded(id, count: lease.slices.count), worker: index)
    computeWhatWaits(index)
  }

  private mutating func finished(_ job: SimulatedWorker.Job, _ index: Int) -> Finished {
    let lease = job.lease
    let version = VersionIdentity(
      step: lease.step, student: lease.student, teacher: lease.teacher, rows: lease.rows,
      memoryFloor: lease.memoryFloor)
    let payload = answer(
      Truth.payload(of: lease.slices, in: truth.tree, with: version, without: lease.lost), of: index)
    var finished = Finished(
      lease: lease.lease, step: lease.step, slices: lease.slices, payload: payload,
      payloadCount: Self.payloadCount(slices: lease.slices.count),
      losses: lease.slices.indices.map { _ in
        // Tells on whose behalf it was computed: see `accept`.
        SliceLoss(consistency: Double(job.incarnation.number), koleo: 0, targetEntropy: 1)
      },
      undecodable: [], gradient: lease.hashesGradient ? Self.gradient(payload) : nil)
    if saysNotFinite(index) { finished.losses[0].targetEntropy = .nan }
    return finished
  }

  private mutating func forget(_ id: LeaseID, _ index: Int) {
    workers[index].results[id] = nil
    for place in workers[index].jobs.indices.reversed() where workers[index].jobs[place].lease.lease == id {
      workers[index].jobs[place].isForgotten = true
      guard workers[index].jobs[place].threads == 0 else { continue }
      let job = workers[index].jobs.remove(at: place)
      tell(.slicesEnded(id, count: job.lease.slices.count), worker: index)
    }
  }

  private mutating func push(_ id: LeaseID, _ index: Int) {
    guard let finished = workers[index].results[id] else { return fail("worker \(index) pushes what it does not have") }
    guard !neverPushes(index), let sender = workers[index].machine?.sender else { return }
    var payload = finished.payload
    if random.chance(faults.damage) { payload = Digest(high: payload.high ^ 1, low: payload.low) }
    send(.push(id, payload, sender), after: random.next(below: Self.second / 10), from: .worker(index))
    schedule(
      .pushUnanswered(index, life: workers[index].process.life, session: workers[index].session, id),
      in: Self.pushPatience)
  }

  /// What the coordinator's bulk socket answered.
  mutating func pushEnded(_ id: LeaseID, isTaken: Bool, _ index: Int) {
    tell(isTaken ? .pushed(id) : .pushFailed(Returned(lease: id, reason: "it is not expected")), worker: index)
    if isTaken, bug == .letsGoOfGradientsBeforeTheirSum { workers[index].results[id] = nil }
  }

  mutating func pushUnanswered(_ id: LeaseID, _ session: Int, _ index: Int) {
    let returned = Returned(lease: id, reason: "there is no answer", isPassing: true)
    tell(.work(.pushFailed(returned), session: session), worker: index)
  }
}
