import Messages

/// A sentence on what is wrong with a coordinator's state: a mistake in the program.
public struct CoordinationError: Error, Equatable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

extension Coordinator {
  /// Checks what holds between any two events; for tests and the simulator, which do so after each.
  ///
  /// Closures are given the tables that they need, never the coordinator, and peers and leases are read where they are: a
  /// copy of any of them costs one of all its references.
  public func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError(message()) }
    }
    let (step, tree, slices, kept) = (step, tree, current.slices, current.kept)
    let (leases, peers) = (leases.inOrder, peers.inOrder)
    // 1. Each slice is counted once.
    var times = [Int](repeating: 0, count: tree.count)
    for node in current.acceptedNodes {
      try require(tree.isNode(node), "accepted \(node) is no node")
      for slice in node.indices { times[slice] += 1 }
    }
    try require(times == slices.isAccepted.map { $0 ? 1 : 0 }, "accepted slices \(times) of step \(step)")
    let isComplete = slices.isAccepted.allSatisfy { $0 }
    try require(isComplete == slices.isComplete, "\(slices.acceptedCount) slices accepted of step \(step)")
    switch phase {
    case .computing: try require(!isComplete, "step \(step) is complete and not updated")
    case .reducing, .updating: try require(isComplete, "step \(step) is updated and not complete")
    case .concluding, .leaving, .stopped: break
    }
    // 2. Leases are open for a reason, and within limits.
    try require(phase == .computing || leases.isEmpty, "\(leases.count) leases while \(phase)")
    var attempts = [Int](repeating: 0, count: tree.count)
    for place in leases.indices {
      let node = leases[place].slices
      try require(place == 0 || leases[place - 1].id < leases[place].id, "leases out of order")
      try require(self.peers.place(of: leases[place].peer) != nil, "lease \(leases[place].id.number) of nobody")
      try require(tree.isNode(node), "leased \(node) is no node")
      try require(
        !node.indices.contains { slices.isAccepted[$0] }, "\(described(node)) is leased and accepted")
      if !leases[place].isOverdue { for slice in node.indices { attempts[slice] += 1 } }
    }
    try require(attempts.allSatisfy { $0 <= CoordinationLimits.attempts }, "attempts \(attempts)")
    try require(attempts == slices.attempts, "attempts \(slices.attempts), not \(attempts)")
    let free = attempts.indices.map { attempts[$0] == 0 && !slices.isAccepted[$0] }
    try require(free == attempts.indices.map { slices.free[$0] }, "free slices of step \(step)")
    try require(free.count { $0 } == slices.free.count, "\(slices.free.count) free slices of step \(step)")
    // 3. Queues.
    let queued = leases.indices.filter { if case .waiting = leases[$0].state { true } else { false } }
    try require(
      self.leases.waiting.sorted() == queued.map { leases[$0].id }, "waiting \(self.leases.waiting), not the finished")
    let granted = leases.indices.filter { leases[$0].isGranted }
    try require(self.leases.granted.sorted() == granted.map { leases[$0].id }, "granted \(self.leases.granted)")
    let tails = granted.count { leases[$0].keepsGradient }
    try require(granted.count - tails <= CoordinationLimits.gradientsInFlight, "\(granted.count) gradients in flight")
    try require(tails <= CoordinationLimits.tailsInFlight, "\(tails) tails in flight")
    let accusing = queued.count { leases[$0].finished.map { !$0.undecodable.isEmpty } ?? false }
    try require(
      self.leases.counts == LeaseTable.Counts(tails: tails, accusing: accusing),
      "\(self.leases.counts), not \(tails) tails and \(accusing) accusing")
    for (index, place) in granted.enumerated() {
      let node = leases[place].slices
      try require(!granted[..<index].contains { leases[$0].slices.overlaps(node) }, "\(described(node)) comes twice")
    }
    // 4. Peers.
    try require(peers.count <= CoordinationLimits.peers, "\(peers.count) peers")
    try require(offenders.count <= CoordinationLimits.offenders, "\(offenders.count) offenders")
    for place in peers.indices {
      let (id, threads, pace) = (peers[place].id, peers[place].threads, peers[place].pace)
      let own = leases.indices.filter { leases[$0].peer == id }
      try require(peers[place].leases == own.map { leases[$0].id }, "leases \(peers[place].leases) of \(described(id))")
      try require(
        own.allSatisfy { at in leases[at].expected == pace.map { $0 * leases[at].rounds } },
        "leases of \(described(id)) at another pace than its own")
      try require(
        own.count <= CoordinationLimits.leases(threads: threads), "\(own.count) leases of \(described(id))")
      let idle = peers[place].idleThreads
      try require(0...threads ~= idle, "\(idle) idle threads of \(described(id))")
      try require(peers[place].heard <= now, "\(described(id)) heard in the future")
    }
    // 5. Audits: what is granted has its verdict, and whoever is in quarantine has nothing.
    for place in granted {
      guard let finished = leases[place].finished else { continue }
      try require(isCleared(finished), "\(described(leases[place].slices)) comes before its audit")
      try require(
        isProven(finished), "\(described(leases[place].slices)) comes before its pictures were looked at")
    }
    for place in peers.indices where !hosts.quarantined.isEmpty {
      try require(
        hosts.quarantine(of: peers[place].host) == nil, "\(described(peers[place].id)) works in quarantine")
    }
    for place in current.audits.indices {
      let (node, audit) = (current.audits.nodes[place], current.audits[place])
      try require(place == AuditTable.place(of: node, in: current.audits.nodes), "audits out of order")
      try require(tree.isNode(node) && audit.answers.count <= CoordinationLimits.answers, "audit of \(node)")
      try require(audit.leases == leases.filter { $0.slices == node }.map(\.id), "leases \(audit.leases) of \(node)")
      try require(
        !node.indices.contains { slices.isAccepted[$0] }, "\(described(node)) is audited and accepted")
    }
    // 6. Memory shards.
    try board?.checkInvariants()
    // 7. Pictures.
    try require(
      current.lost == pictures.lost(in: step), "lost pictures \(current.lost) of step \(step)")
    try require(
      pictures.accusations.count <= CoordinationLimits.accusations, "\(pictures.accusations.count) accusations")
    // 8. Gradients that are kept.
    let isCounting = phase == .computing || phase == .reducing
    if isCounting, !kept.isEmpty {
      let accepted = Set(current.acceptedNodes)
      for (node, kept) in kept {
        try require(accepted.contains(node), "the gradient of \(described(node)) is kept, and not accepted")
        let isKept = self.peers.place(of: kept.peer).map { peers[$0].kept[kept.lease] == node } ?? false
        try require(isKept, "nobody keeps the gradient of \(described(node))")
      }
    }
    for place in peers.indices {
      try require(
        peers[place].kept.allSatisfy { kept[$0.value]?.lease == $0.key },
        "\(described(peers[place].id)) keeps what it need not")
    }
    let spares = current.spares
    for (node, holders) in spares where isCounting {
      try require(
        1..<WireLimits.gradientHolders ~= holders.count, "\(holders.count) second holders of \(described(node))")
      for holder in holders {
        try require(
          holder.finished.gradient?.hash == kept[node]?.finished.gradient?.hash,
          "second holder of another gradient of \(described(node))")
        let isSpare = self.peers.place(of: holder.peer).map { peers[$0].spares[holder.lease] == node } ?? false
        try require(isSpare, "no second holder of \(described(node))")
      }
    }
    for place in peers.indices where !peers[place].spares.isEmpty {
      try require(
        peers[place].spares.allSatisfy { spare in spares[spare.value]?.contains { $0.lease == spare.key } ?? false },
        "\(described(peers[place].id)) keeps to spare what it need not")
      try require(
        peers[place].kept.count + peers[place].spares.count <= peers[place].gradientRoom,
        "\(described(peers[place].id)) keeps \(peers[place].spares.count) gradients too many")
    }
    try require(isReduced || kept.isEmpty, "gradients are kept, and step \(step) is not reduced")
    let held = current.acceptedNodes.count - kept.count
    try require(
      !isReduced || !isCounting || held <= CoordinationLimits.gradientsHeld, "\(held) gradients are here")
    try require(phase != .reducing || current.sums.map { !$0.isComplete } ?? false, "step \(step) has its sums")
    try current.sums?.checkInvariants()
    // 9. Checkpoints go forward.
    let (durable, inFlight) = (checkpoints.durableStep, checkpoints.inFlight)
    try require(durable ?? 0 <= step && inFlight ?? 0 <= step, "a checkpoint ahead of step \(step)")
    try require(inFlight == nil || durable ?? -1 < step || phase == .stopped, "a checkpoint too many")
    let mayBegin = (phase == .computing || phase == .reducing) && checkpoints.mayBegin(at: now)
    try require(
      !mayBegin || !checkpoints.isDue(ofStep: step, at: now), "a checkpoint of step \(step) is late")
  }
}
