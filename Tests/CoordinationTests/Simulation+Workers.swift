import Coordination
import Numerics
import TestSupport
import Wire

/// The workers: what each does with time and with what it hears.
extension Simulation {
  mutating func startWorker(_ index: Int) {
    guard !workers[index].isBanished else { return }
    let peer = PeerID(rawValue: random.next())
    indexOfPeer[peer] = index
    workers[index].start(as: peer)
    workers[index].heard = time
    schedule(.workerBeats(index, life: workers[index].life), in: 0)
  }

  mutating func beat(_ index: Int) {
    schedule(.workerBeats(index, life: workers[index].life), in: Self.second)
    if time - workers[index].heard > 4 * Self.second { workers[index].isWelcome = false }
    guard workers[index].isWelcome else { return say(workers[index].hello, index) }
    say(workers[index].ready, index)
    // What got no answer is said again; the first may be lost.
    for lease in workers[index].heldInOrder {
      if let finished = workers[index].held[lease]?.finished { say(.finished(finished), index) }
    }
    if random.chance(faults.nonsense) { talkNonsense(index) }
  }

  mutating func talkNonsense(_ index: Int) {
    let sender = workers[index].sender
    let stray = LeaseID(random.next(below: 60))
    switch random.next(below: 5) {
    case 0: send(.toCoordinator(.ready(Ready(idleThreads: -1, held: [])), sender), worker: index, toWorker: false)
    case 1: say(.returned(Returned(lease: stray, reason: "never had it")), index)
    case 2:
      say(
        .finished(
          Finished(
            lease: stray, step: .max, slices: SliceRange(first: .min, count: .max), payload: Self.probe,
            payloadCount: -1, losses: [], undecodable: [])), index)
    case 3:
      let older = Sender(run: sender.run, incarnation: Incarnation(0), peer: sender.peer)
      send(.toCoordinator(workers[index].ready, older), worker: index, toWorker: false)
    default:
      let other = Sender(run: RunIdentity(high: 1, low: 1), incarnation: sender.incarnation, peer: sender.peer)
      send(.toCoordinator(.goodbye, other), worker: index, toWorker: false)
    }
  }

  mutating func hear(_ message: CoordinatorMessage, _ incarnation: Incarnation, _ index: Int) {
    guard incarnation >= workers[index].incarnation else { return }
    if incarnation > workers[index].incarnation {
      // Another coordinator: leases of the one before are void.
      workers[index].incarnation = incarnation
      workers[index].held = [:]
      workers[index].isWelcome = false
    }
    workers[index].heard = time
    switch message {
    case .welcome:
      workers[index].run = Self.run
      workers[index].isWelcome = true
      say(workers[index].ready, index)
    case .refusal(let refusal) where refusal.reason == .quarantined:
      // As the real one, it ends, and nobody starts it again.
      workers[index].isUp = false
      workers[index].isBanished = true
    case .refusal(let refusal):
      guard refusal.reason == .unknownPeer else { return }
      workers[index].isWelcome = false
      workers[index].held = [:]
      say(workers[index].hello, index)
    case .lease(let lease):
      guard workers[index].isWelcome, workers[index].held[lease.lease] == nil else { return }
      workers[index].held[lease.lease] = SimulatedWorker.Held(lease: lease)
      computeWhatWaits(index)
    case .grant(let lease): push(lease, index)
    case .cancel(let lease):
      workers[index].held[lease] = nil
      computeWhatWaits(index)
    case .finished: say(.goodbye, index)
    case .heartbeat, .status, .shardWelcome, .assignment, .memory, .drain: break
    }
  }

  mutating func computeWhatWaits(_ index: Int) {
    for id in workers[index].heldInOrder {
      guard let held = workers[index].held[id], held.threads == 0, held.finished == nil,
        workers[index].idleThreads > 0
      else { continue }
      let slices = held.lease.slices.count
      let threads = min(workers[index].idleThreads, slices)
      workers[index].held[id]?.threads = threads
      var duration = neverPushes(index) ? 0 : workers[index].pace * UInt64((slices + threads - 1) / threads)
      if random.chance(faults.workerHang) { duration += random.next(below: 300 * Self.second) }
      schedule(.computed(index, life: workers[index].life, id), in: duration)
    }
  }

  mutating func computed(_ id: LeaseID, _ index: Int) {
    guard let lease = workers[index].held[id]?.lease, workers[index].held[id]?.finished == nil else { return }
    let slice = lease.step * 100 + lease.slices.first
    if random.chance(faults.givingBack), givenBack[slice, default: 0] < 2 {
      givenBack[slice, default: 0] += 1
      workers[index].held[id] = nil
      say(.returned(Returned(lease: id, reason: "read error")), index)
    } else {
      let version = Updated(
        step: lease.step, student: lease.student, teacher: lease.teacher, rows: lease.rows,
        memoryFloor: lease.memoryFloor)
      var finished = Finished(
        lease: id, step: lease.step, slices: lease.slices,
        payload: answer(Truth.payload(of: lease.slices, in: truth.tree, with: version, without: lease.lost), of: index),
        payloadCount: 100 + 10 * lease.slices.count,
        losses: lease.slices.indices.map { _ in
          // Tells on whose behalf it was computed: see `accept`.
          SliceLoss(consistency: Double(workers[index].incarnation.number), koleo: 0, targetEntropy: 1)
        },
        undecodable: [])
      if saysNotFinite(index) { finished.losses[0].targetEntropy = .nan }
      workers[index].held[id]?.finished = finished
      workers[index].held[id]?.threads = 0
      say(.finished(finished), index)
    }
    computeWhatWaits(index)
    say(workers[index].ready, index)
  }

  mutating func push(_ id: LeaseID, _ index: Int) {
    guard let finished = workers[index].held[id]?.finished, !neverPushes(index) else { return }
    var payload = finished.payload
    if random.chance(faults.damage) { payload = Digest(high: payload.high ^ 1, low: payload.low) }
    send(
      .push(id, payload, workers[index].sender), after: random.next(below: Self.second / 10), worker: index,
      toWorker: false)
  }
}
