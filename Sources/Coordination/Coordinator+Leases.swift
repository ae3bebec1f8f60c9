import Numerics
import Wire

// MARK: - Giving slices out

extension Coordinator {
  /// Gives every idle thread something to do, if there is something: a lease a worker, in turn, so that the first worker
  /// does not take what the others wait for.
  mutating func leaseSlices(_ effects: inout [Effect]) {
    guard phase == .computing, !isWaitingForRows else { return }
    var turn = peersInOrder.filter { $0.idleThreads > 0 && isPresent($0) }.map(\.id)
    while !turn.isEmpty {
      var waiting = turn.reduce(0) { $0 + (peers[$1]?.idleThreads ?? 0) }
      turn = turn.filter { id in
        let idle = peers[id]?.idleThreads ?? 0
        defer { waiting -= idle }
        return leaseSlices(to: id, ofThreads: waiting, &effects)
      }
    }
  }

  /// Gives a worker one lease, if it has room for it.
  /// - Parameter waiting: idle threads of this worker and of those whose turn comes after it.
  /// - Returns: whether it may have room for another.
  private mutating func leaseSlices(to id: PeerID, ofThreads waiting: Int, _ effects: inout [Effect]) -> Bool {
    guard let peer = peers[id], peer.idleThreads > 0,
      leases.count(where: { $0.peer == id }) < Limits.leases(threads: peer.threads),
      let node = nodeToLease(to: peer, ofThreads: waiting)
    else { return false }
    issue(node, to: peer, &effects)
    return true
  }

  private mutating func issue(_ node: SliceRange, to peer: Peer, _ effects: inout [Effect]) {
    drawAudit(of: node)
    issued += 1
    let threads = min(node.count, peer.idleThreads)
    let rounds = (node.count + threads - 1) / threads
    let time = peer.pace.map { $0 * (rounds * Limits.patience) + Limits.stall } ?? Limits.firstLease
    let lease = OpenLease(
      id: LeaseID(issued), peer: peer.id, slices: node, issuedAt: now, rounds: rounds, deadline: now + time)
    leases.append(lease)
    peers[peer.id]?.idleThreads -= threads
    effects.append(
      .send(
        .lease(
          Lease(
            lease: lease.id, step: step, slices: node, student: version.student, teacher: version.teacher,
            rows: version.rows, memoryFloor: version.memoryFloor,
            holdersVersion: board?.version ?? 0)), to: peer.id))
  }

  /// The node that an idle worker should compute next, one of so many threads that wait; nil when there is none for it.
  private func nodeToLease(to peer: Peer, ofThreads waiting: Int) -> SliceRange? {
    // 1. What is computed already, and what this worker may not have.
    var copies = [Int](repeating: 0, count: tree.count)
    var allowed = isAccepted.map { !$0 }
    for lease in leases {
      for slice in lease.slices.indices {
        if !lease.isOverdue { copies[slice] += 1 }
        if lease.peer == peer.id { allowed[slice] = false }
      }
    }
    for bar in bars where bar.peer == peer.id && bar.until > now { allowed[bar.slice] = false }

    // 2. Answers to compare with come first: others wait for them.
    if let node = nodeToAudit(by: peer, copies: copies, allowed: allowed) { return node }

    // 3. Slices that nobody computes.
    let free = copies.indices.filter { !isAccepted[$0] && copies[$0] == 0 }.count
    let limit = leaseSize(for: peer, ofThreads: waiting, of: free)
    if let node = tree.largestFreeNode(in: zip(allowed, copies).map { $0 && $1 == 0 }, atMost: limit) { return node }

    // 4. Slices that somebody computes, but this worker would probably have sooner: the oldest first. Copies of audited
    // ones are whole, as above.
    for lease in leases where lease.state == .computing && !lease.isOverdue && lease.peer != peer.id {
      guard audits[lease.slices] == nil, isWorthACopy(lease, by: peer) else { continue }
      for copy in 1..<Limits.copies {
        let candidates = copies.indices.map {
          lease.slices.indices.contains($0) && allowed[$0] && copies[$0] == copy
        }
        if let node = tree.largestFreeNode(in: candidates, atMost: peer.idleThreads) { return node }
      }
    }
    return nil
  }

  /// Slices of a lease for this worker at most. Where many are `free`, half of its threads' share of them; else its share
  /// among the threads that wait, and no more than it computes at once.
  private func leaseSize(for peer: Peer, ofThreads waiting: Int, of free: Int) -> Int {
    let threads = peers.values.reduce(0) { $0 + (isPresent($1) ? $1.threads : 0) }
    let size =
      free > Limits.manySlices * threads
      ? max(free * peer.threads / max(threads, 1) / 2, peer.idleThreads)
      : min(free * peer.idleThreads / max(waiting, 1), peer.idleThreads)
    return max(size, 1)
  }

  /// Whether `peer` would probably have a lease's slices before the worker that computes them.
  func isWorthACopy(_ lease: OpenLease, by peer: Peer) -> Bool {
    let age = now - lease.issuedAt
    let own = peer.pace.map { $0 * ((lease.slices.count + peer.idleThreads - 1) / peer.idleThreads) }
    guard let pace = peers[lease.peer]?.pace else { return age > (own.map { $0 * 2 } ?? Limits.firstHedge) }
    let expected = pace * lease.rounds
    if age > expected * 3 / 2 { return true }
    guard let own else { return false }
    return expected - age > own
  }
}

// MARK: - Taking slices back

extension Coordinator {
  /// Notices what time has ended.
  mutating func expire(_ effects: inout [Effect]) {
    for peer in peersInOrder where now - peer.heard >= Limits.absence {
      effects.append(.log(.warning, "\(described(peer.id)) was not heard for \(Limits.absence): it is taken for gone."))
      counts.absent += 1
      forget(peer.id, &effects)
    }
    for lease in leases {
      guard let peer = peers[lease.peer] else { continue }
      switch lease.state {
      case .computing where now >= lease.issuedAt + (lease.deadline - lease.issuedAt) * Limits.hanging:
        effects.append(
          .log(
            .warning, "\(described(peer.id)) holds \(described(lease.slices)) for \(now - lease.issuedAt): taken back.")
        )
        drop(lease.id, tellWorker: true, &effects)
      case .computing where now >= lease.deadline && !lease.isOverdue:
        // It takes at least so long; or else a worker that became slower would never meet a deadline again.
        let pace = max((peer.pace ?? .zero) * 2, (now - lease.issuedAt) / lease.rounds)
        peers[peer.id]?.pace = pace
        makeOverdue(lease.id)
      case .granted(let finished, let heard) where now - heard >= Limits.pushSilence:
        effects.append(.abandonPush(lease.id))
        if let index = index(of: lease.id) { leases[index].state = .waiting(finished, since: now) }
        waiting.append(lease.id)
        makeOverdue(lease.id)
      case .computing, .waiting, .granted:
        if !isPresent(peer) { makeOverdue(lease.id) }
      }
    }
    bars.removeAll { $0.until <= now }
    for (peer, offender) in offenders where now - offender.last >= Limits.ignored { offenders[peer] = nil }
  }

  private mutating func makeOverdue(_ id: LeaseID) {
    guard let index = index(of: id), !leases[index].isOverdue else { return }
    leases[index].isOverdue = true
    counts.expired += 1
  }

  func index(of id: LeaseID) -> Int? {
    // Numbers ascend.
    var (low, high) = (0, leases.count)
    while low < high {
      let middle = (low + high) / 2
      if leases[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < leases.count && leases[low].id == id ? low : nil
  }

  /// Ends a lease without a result; its slices are free unless somebody else has them.
  mutating func drop(_ id: LeaseID, tellWorker: Bool, _ effects: inout [Effect]) {
    guard let index = index(of: id) else { return }
    let lease = leases.remove(at: index)
    waiting.removeAll { $0 == id }
    if lease.isGranted { effects.append(.abandonPush(id)) }
    if tellWorker { effects.append(.send(.cancel(id), to: lease.peer)) }
  }

  /// Keeps `slices` from `peer` for a while.
  mutating func bar(_ peer: PeerID, from slices: SliceRange, for duration: Duration) {
    bars.removeAll { $0.peer == peer && slices.indices.contains($0.slice) }
    bars += slices.indices.map { Bar(peer: peer, slice: $0, until: now + duration) }
  }

  /// For people.
  func described(_ slices: SliceRange) -> String {
    slices.count == 1
      ? "slice \(slices.first) of step \(step)"
      : "slices \(slices.first) to \(slices.first + slices.count - 1) of step \(step)"
  }
}
