import Checkpoints
import Coordination
import Messages
import Numerics
import Slices

// Workers that lie, and what the process around the state machine does about it.

extension Simulation {
  /// Each worker is a host of its own, but for every third, which is on the host of the one before. One of every five
  /// gives nothing to others; the others have room for one to four gradients. Where steps are to be reduced all give, and
  /// each is a host of its own.
  mutating func nameHosts() {
    for index in workers.indices {
      workers[index].host = "host \(index % 3 == 2 && !exchanges ? index - 1 : index)"
      if index % 5 < 4 || exchanges {
        workers[index].address = (try? Endpoint("tcp://worker-\(index):7")).map { BulkAddress(endpoint: $0) }
      }
      workers[index].gradientRoom = workers[index].address == nil ? 0 : 1 + (index + Int(seed % 3)) % 4
    }
  }

  /// Hosts with a worker that lies.
  var liars: Set<String> {
    let hasLiars = faults.liesEvery > 0 || faults.saysNotFiniteEvery > 0
    return Set(workers.indices.filter { hasLiars && $0 > 0 }.map { workers[$0].host })
  }

  /// Hosts that the run directory says are in quarantine.
  var quarantined: Set<String> { Set(audits.quarantined.map(\.host)) }

  /// Whether wrong results may count for a while: not all are compared.
  var mayBeSpoilt: Bool { faults.liesEvery > 0 && faults.auditRate < 1 }

  var audits: AuditSettings {
    let hosts = (try? coordinator.disk.directory?.quarantine().hosts) ?? []
    return AuditSettings(
      rate: faults.auditRate, seed: seed ^ UInt64(coordinator.life),
      quarantined: hosts,
      unaudited: coordinator.disk.unaudited)
  }

  /// What a worker says in the place of `payload`.
  mutating func answer(_ payload: Digest, of index: Int) -> Digest {
    workers[index].answers += 1
    guard faults.liesEvery > 0, index > 0, workers[index].answers.isMultiple(of: faults.liesEvery) else {
      return payload
    }
    note("lies")
    return Digest(high: payload.high ^ UInt64(index), low: payload.low)
  }

  /// Whether a worker says that what it computed is not finite, which it is.
  mutating func saysNotFinite(_ index: Int) -> Bool {
    guard faults.saysNotFiniteEvery > 0, index > 0, workers[index].answers.isMultiple(of: faults.saysNotFiniteEvery)
    else { return false }
    note("accusations")
    return true
  }

  func neverPushes(_ index: Int) -> Bool { 1...max(1, faults.neverPushing) ~= index && faults.neverPushing > 0 }

  /// The coordinator's own computing takes time too, and now and then it fails.
  mutating func recompute(_ slices: SliceRange, of step: Int, hashesGradient: Bool) {
    note("recomputations")
    let delay = random.next(below: 2 * Self.second)
    guard !random.chance(faults.givingBack) else {
      let failure = Event.recomputationFailed(step: step, slices, reason: "read error")
      return schedule(.answered(life: coordinator.life, restarts: coordinator.restarts, failure), in: delay)
    }
    let payload = Truth.payload(
      of: slices, in: truth.tree, with: coordinator.version, without: coordinator.machine?.lostPictures ?? [])
    let finished = Finished(
      lease: LeaseID(0), step: step, slices: slices, payload: payload,
      payloadCount: Self.payloadCount(slices: slices.count),
      losses: slices.indices.map { _ in
        SliceLoss(consistency: Double(incarnation.number), koleo: 0, targetEntropy: 1)
      },
      undecodable: [], gradient: hashesGradient ? Self.gradient(payload) : nil)
    let notFinite = bug == .bearsOutWhatIsNotFinite ? Array(slices.indices) : []
    schedule(
      .answered(
        life: coordinator.life, restarts: coordinator.restarts, .recomputed(finished, notFinite: notFinite)), in: delay)
  }

  mutating func quarantine(_ hosts: [QuarantinedHost], rollingBackTo step: Int?) {
    for host in hosts where !liars.contains(host.host) { fail("'\(host.host)' is honest, and in quarantine") }
    // It computes with what is no longer its own.
    if coordinator.hasLostLock { return endCoordinator() }
    do {
      guard let directory = coordinator.disk.directory else { return }
      var quarantine = try directory.quarantine()
      quarantine.hosts += hosts
      if bug != .forgetsToRollBack { quarantine.goesBackTo = step }
      try directory.write(quarantine)
      found.formUnion(hosts.map(\.host))
    } catch {
      fail("quarantine: \(error)")
    }
  }

  /// The process opens the run again; from the files' point of view it ended and another came.
  mutating func rollBack() {
    if coordinator.hasLostLock { return endCoordinator() }
    guard let machine = coordinator.machine else { return }
    add(machine, to: &past)
    note("rollbacks")
    coordinator.disk.crash(
      during: coordinator.writing.map { .writing($0) }, losingPower: random.chance(faults.powerCut), &random)
    outlived = nil
    coordinator.machine = nil
    // Checkpoints that were durable are set aside.
    reportedDurable = -1
    schedule(.coordinatorStarts, in: random.next(below: Self.second))
  }
}
