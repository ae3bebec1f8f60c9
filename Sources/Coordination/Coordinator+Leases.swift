import Messages
import Numerics
import Slices

// MARK: - Giving slices out

extension Coordinator {
  /// Gives every idle thread something to do, if there is something: a lease a worker, in turn, so that the first worker
  /// does not take what the others wait for.
  mutating func leaseSlices(_ effects: inout [Effect]) {
    guard phase == .computing, !isWaitingForRows else { return }
    var round = LeasingRound(peers.inOrder, at: now)
    var turn = round.idle
    guard !turn.isEmpty else { return }
    decideOnReduction()
    let before = effects.count
    round.lookAfter(nodesToAudit(in: round))
    while !turn.isEmpty, round.hasWork(among: leases.inOrder, on: current.slices) {
      var waiting = turn.reduce(0) { $0 + (peers[$1].delivery.isOnProbation ? 0 : peers[$1].idleThreads) }
      turn = turn.filter { place in
        let idle = peers[place].delivery.isOnProbation ? 0 : peers[place].idleThreads
        defer { waiting -= idle }
        return leaseSlices(to: place, ofThreads: waiting, &round, &effects)
      }
    }
    if current.weightSources == nil { nameWeightSources(from: before, &effects) }
  }

  /// Gives a worker one lease, if it has room for it.
  /// - Parameters:
  ///   - place: the worker's in the table.
  ///   - waiting: idle threads of this worker and of those whose turn comes after it.
  /// - Returns: whether it may have room for another.
  private mutating func leaseSlices(
    to place: Int, ofThreads waiting: Int, _ round: inout LeasingRound, _ effects: inout [Effect]
  ) -> Bool {
    guard peers[place].idleThreads > 0,
      peers[place].leases.count
        < (peers[place].delivery.isOnProbation ? 1 : CoordinationLimits.leases(threads: peers[place].threads)),
      round.hasWork(at: peers[place].pace, among: leases.inOrder, on: current.slices),
      hasRoomToKeep(peers[place], beside: peers[place].leases.count) || mayLeaseWithoutKeeping(),
      let node = nodeToLease(to: peers[place], ofThreads: waiting, &round)
    else { return false }
    issue(node, to: place, &effects)
    round.issued(leases.inOrder, on: current.slices)
    if current.audits[node] != nil { round.issued(audited: node, needsAnother: needsAnswer(node, in: round)) }
    return true
  }

  private mutating func issue(_ node: SliceRange, to place: Int, _ effects: inout [Effect]) {
    let peer = peers[place]
    drawAudit(of: node, leasedTo: peer.host)
    let threads = min(node.count, peer.idleThreads)
    let rounds = (node.count + threads - 1) / threads
    let time =
      peer.pace.map { $0 * (rounds * CoordinationLimits.patience) + CoordinationLimits.stall }
      ?? CoordinationLimits.firstLease
    let lease = OpenLease(
      leases.next, of: node, to: peer.id, at: now, rounds: rounds, deadline: now + time,
      expected: peer.pace.map { $0 * rounds }, isOverdue: peer.delivery.isOnProbation)
    leases.issue(lease)
    if !lease.isOverdue { current.slices.begin(node) }
    current.audits[node]?.leases.append(lease.id)
    peers[place].leases.append(lease.id)
    peers[place].idleThreads -= threads
    effects.append(
      .send(
        .lease(
          Lease(
            lease: lease.id, step: step, slices: node, student: version.student, teacher: version.teacher,
            rows: version.rows, memoryFloor: version.memoryFloor,
            holdersVersion: board?.version ?? 0, lost: current.lost, exchangesWeights: isExchangingWeights,
            hashesGradient: isReduced)),
        to: peer.id))
  }

  /// The node that an idle worker should compute next, one of so many threads that wait; nil when there is none for it.
  /// Mutating for its speed alone: it changes nothing, and is lent the coordinator instead of a copy.
  private mutating func nodeToLease(to peer: Peer, ofThreads waiting: Int, _ round: inout LeasingRound) -> SliceRange? {
    // 1. Answers to compare with come first: others wait for them.
    for node in round.audits where isToAudit(node, by: peer, in: &round) { return node }

    // 2. Slices that nobody computes.
    let free = current.slices.free.count
    if free > 0 {
      let limit = leaseSize(for: peer, ofThreads: waiting, of: free, round)
      if let node = current.slices.free.largestNode(atMost: limit, outside: withheld(from: peer)) { return node }
    }
    if peer.delivery.isOnProbation { return nil }

    // 3. Slices that somebody computes, but this worker would probably have sooner: the oldest first. Copies of audited
    // ones are whole, as above.
    round.findSlow(among: leases.inOrder, on: current.slices)
    for slow in round.slow ?? [] where slow.odds.areWorse(than: peer.time(for: leases[slow.index].slices.count)) {
      let lease = leases[slow.index]
      guard lease.peer != peer.id, current.audits[lease.slices] == nil else { continue }
      let withheld = withheld(from: peer)
      for copy in 1..<CoordinationLimits.attempts {
        let node = tree.largestNode(below: lease.slices, atMost: peer.idleThreads) { slice in
          current.slices.attempts[slice] == copy && !withheld.contains { $0.indices.contains(slice) }
        }
        if let node { return node }
      }
    }
    return nil
  }

  /// What a worker may not have, of slices that are not accepted: what it has, and what is kept from it for a while.
  private func withheld(from peer: Peer) -> [SliceRange] {
    peer.leases.compactMap { leases[$0]?.slices }
      + current.exclusions.lazy.filter { $0.applies(to: peer, at: now) }.map { SliceRange(first: $0.slice, count: 1) }
  }

  /// Whether a worker may not have all of a node's slices.
  func isWithheld(_ node: SliceRange, from peer: Peer) -> Bool {
    withheld(from: peer).contains { $0.overlaps(node) }
  }

  /// Slices of a lease for this worker at most. Where many are `free`, half of its threads' share of them; else its share
  /// among the threads that wait, and no more than it computes at once.
  private func leaseSize(
    for peer: Peer, ofThreads waiting: Int, of free: Int, _ round: LeasingRound
  ) -> Int {
    let size =
      free > CoordinationLimits.manySlices * round.threads
      ? max(free * peer.threads / max(round.threads, 1) / 2, peer.idleThreads)
      : min(free * peer.idleThreads / max(waiting, 1), peer.idleThreads)
    return max(size, 1)
  }
}

// MARK: - Taking slices back

extension Coordinator {
  /// Notices what time has ended.
  mutating func expire(_ effects: inout [Effect]) {
    guard now >= nothingExpiresBefore else { return }
    for peer in peers where now - peer.heard >= CoordinationLimits.absence {
      log(
        .warning, .absences, about: peer.id,
        "\(described(peer.id)) was not heard for \(CoordinationLimits.absence.words): it is taken for gone.", &effects)
      counts.absent += 1
      forget(peer.id, &effects)
    }
    for lease in leases {
      guard let peer = peers[lease.peer] else { continue }
      switch lease.state {
      case .computing where now >= lease.issuedAt + (lease.deadline - lease.issuedAt) * CoordinationLimits.hanging:
        log(
          .warning, .absences, about: peer.id,
          "\(described(peer.id)) holds \(described(lease.slices)) for \((now - lease.issuedAt).words): taken back.",
          &effects)
        drop(lease.id, tellWorker: true, &effects)
      case .computing where now >= lease.deadline && !lease.isOverdue:
        // It takes at least so long; or else a worker that became slower would never meet a deadline again.
        let pace = max((peer.pace ?? .zero) * 2, (now - lease.issuedAt) / lease.rounds)
        setPace(pace, of: peer.id)
        makeOverdue(lease.id)
      case .computing, .waiting, .granted:
        if !isPresent(peer) { makeOverdue(lease.id) }
      }
    }
    for peer in peers where peer.keepsGradients && !isPresent(peer) { loseGradients(of: peer.id, &effects) }
    replaceLateReducers(&effects)
    current.exclusions.removeAll { $0.until <= now }
    offenders.expire(at: now)
    nothingExpiresBefore = nextExpiry
  }

  /// No time that there is now ends before this, nor one that begins after now: those are all longer than a stall. What
  /// a worker has is overdue once it is silent, and what it is yet to have.
  private var nextExpiry: Instant {
    var next = now + min(CoordinationLimits.stall, CoordinationLimits.returnPause)
    for peer in peers {
      next = min(next, peer.heard + (isPresent(peer) ? CoordinationLimits.silence : CoordinationLimits.absence))
    }
    for lease in leases {
      switch lease.state {
      case .computing where lease.isOverdue:
        next = min(next, lease.issuedAt + (lease.deadline - lease.issuedAt) * CoordinationLimits.hanging)
      case .computing: next = min(next, lease.deadline)
      case .waiting, .granted: break
      }
    }
    for exclusion in current.exclusions { next = min(next, exclusion.until) }
    if phase == .reducing { next = min(next, now + CoordinationLimits.reducerLook) }
    return min(next, offenders.nextExpiry ?? next)
  }

  mutating func makeOverdue(_ id: LeaseID) {
    guard let index = leases.index(of: id), !leases[index].isOverdue else { return }
    leases[index].isOverdue = true
    current.slices.end(leases[index].slices)
    counts.expired += 1
  }

  /// Ends a lease without a result; its slices are free unless somebody else has them.
  mutating func drop(_ id: LeaseID, tellWorker: Bool, _ effects: inout [Effect]) {
    guard let index = leases.index(of: id) else { return }
    let lease = removeLease(at: index)
    if lease.isGranted { effects.append(.abandonPush(id)) }
    if tellWorker { effects.append(.send(.cancel(id), to: lease.peer)) }
  }

  /// Takes a lease out of everything that counts it.
  @discardableResult
  mutating func removeLease(at index: Int) -> OpenLease {
    let lease = leases.remove(at: index)
    if !lease.isOverdue { current.slices.end(lease.slices) }
    current.audits[lease.slices]?.leases.removeAll { $0 == lease.id }
    if let place = peers.place(of: lease.peer) { peers[place].leases.removeAll { $0 == lease.id } }
    return lease
  }

  /// Keeps `slices` from a worker for a while.
  mutating func exclude(_ peer: PeerID, from slices: SliceRange, for duration: Duration) {
    exclude(.peer(peer), from: slices, for: duration)
  }

  /// Keeps `slices` from a worker, or all of a host, for a while.
  mutating func exclude(_ whom: Exclusion.Whom, from slices: SliceRange, for duration: Duration) {
    readmit(whom, from: slices)
    current.exclusions += slices.indices.map { Exclusion(whom: whom, slice: $0, until: now + duration) }
  }

  mutating func readmit(_ whom: Exclusion.Whom, from slices: SliceRange) {
    current.exclusions.removeAll { $0.whom == whom && slices.indices.contains($0.slice) }
  }

  /// For people.
  func described(_ slices: SliceRange) -> String {
    slices.count == 1
      ? "slice \(slices.first) of step \(step)"
      : "slices \(slices.first) to \(slices.first + slices.count - 1) of step \(step)"
  }
}
