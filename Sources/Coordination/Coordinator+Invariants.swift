/// A sentence on what is wrong with a coordinator's state: a mistake in the program.
public struct CoordinationError: Error, Equatable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

extension Coordinator {
  /// Checks what holds between any two events; for tests and the simulator.
  public func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError(message()) }
    }
    // 1. Each slice is counted once.
    var times = [Int](repeating: 0, count: tree.count)
    for node in current.acceptedNodes {
      try require(tree.isNode(node), "accepted \(node) is no node")
      for slice in node.indices { times[slice] += 1 }
    }
    try require(times == current.slices.isAccepted.map { $0 ? 1 : 0 }, "accepted slices \(times) of step \(step)")
    let isComplete = current.slices.isAccepted.allSatisfy { $0 }
    try require(
      isComplete == current.slices.isComplete, "\(current.slices.acceptedCount) slices accepted of step \(step)")
    switch phase {
    case .computing: try require(!isComplete, "step \(step) is complete and not updated")
    case .reducing, .updating: try require(isComplete, "step \(step) is updated and not complete")
    case .concluding, .leaving, .stopped: break
    }
    // 2. Leases are open for a reason, and within limits.
    try require(phase == .computing || leases.isEmpty, "\(leases.count) leases while \(phase)")
    try require(zip(leases, leases.dropFirst()).allSatisfy { $0.id < $1.id }, "leases out of order")
    var attempts = [Int](repeating: 0, count: tree.count)
    for lease in leases {
      try require(peers[lease.peer] != nil, "lease \(lease.id.number) of nobody")
      try require(tree.isNode(lease.slices), "leased \(lease.slices) is no node")
      try require(
        !lease.slices.indices.contains { current.slices.isAccepted[$0] },
        "\(described(lease.slices)) is leased and accepted")
      if !lease.isOverdue { for slice in lease.slices.indices { attempts[slice] += 1 } }
    }
    try require(attempts.allSatisfy { $0 <= CoordinationLimits.attempts }, "attempts \(attempts)")
    try require(attempts == current.slices.attempts, "attempts \(current.slices.attempts), not \(attempts)")
    let free = tree.root.indices.map { attempts[$0] == 0 && !current.slices.isAccepted[$0] }
    try require(free == tree.root.indices.map { current.slices.free[$0] }, "free slices of step \(step)")
    try require(
      free.count { $0 } == current.slices.free.count, "\(current.slices.free.count) free slices of step \(step)")
    // 3. Queues.
    let queued = leases.filter { if case .waiting = $0.state { true } else { false } }.map(\.id)
    try require(leases.waiting.sorted() == queued, "waiting \(leases.waiting), but finished \(queued)")
    let granted = leases.filter(\.isGranted)
    try require(leases.granted.sorted() == granted.map(\.id), "granted \(leases.granted)")
    let tails = granted.count(where: \.keepsGradient)
    try require(granted.count - tails <= CoordinationLimits.gradientsInFlight, "\(granted.count) gradients in flight")
    try require(tails <= CoordinationLimits.tailsInFlight, "\(tails) tails in flight")
    for (index, lease) in granted.enumerated() {
      try require(
        !granted[..<index].contains { $0.slices.overlaps(lease.slices) }, "\(described(lease.slices)) comes twice")
    }
    // 4. Peers.
    try require(peers.count <= CoordinationLimits.peers, "\(peers.count) peers")
    try require(offenders.count <= CoordinationLimits.offenders, "\(offenders.count) offenders")
    for peer in peers {
      let leases = leases.filter { $0.peer == peer.id }
      let open = leases.count
      try require(peer.leases == leases.map(\.id), "leases \(peer.leases) of \(described(peer.id))")
      try require(
        leases.allSatisfy { lease in lease.expected == peer.pace.map { $0 * lease.rounds } },
        "leases of \(described(peer.id)) at another pace than its own")
      try require(open <= CoordinationLimits.leases(threads: peer.threads), "\(open) leases of \(described(peer.id))")
      try require(0...peer.threads ~= peer.idleThreads, "\(peer.idleThreads) idle threads of \(described(peer.id))")
      try require(peer.heard <= now, "\(described(peer.id)) heard in the future")
    }
    // 5. Audits: what is granted has its verdict, and whoever is in quarantine has nothing.
    for lease in granted {
      guard let finished = lease.finished else { continue }
      try require(isCleared(finished), "\(described(lease.slices)) comes before its audit")
      try require(isProven(finished), "\(described(lease.slices)) comes before its pictures were looked at")
    }
    for peer in peers {
      try require(hosts.quarantine(of: peer.host) == nil, "\(described(peer.id)) works in quarantine")
    }
    for (node, audit) in current.audits {
      try require(tree.isNode(node) && audit.answers.count <= CoordinationLimits.answers, "audit of \(node)")
      try require(audit.leases == leases.filter { $0.slices == node }.map(\.id), "leases \(audit.leases) of \(node)")
      try require(
        !node.indices.contains { current.slices.isAccepted[$0] }, "\(described(node)) is audited and accepted")
    }
    // 6. Memory shards.
    try board?.checkInvariants()
    // 7. Pictures.
    try require(
      current.lost == pictures.lost(in: step), "lost pictures \(current.lost) of step \(step)")
    try require(
      pictures.accusations.count <= CoordinationLimits.accusations, "\(pictures.accusations.count) accusations")
    // 8. Gradients that are kept.
    let accepted = Set(current.acceptedNodes)
    let isCounting = phase == .computing || phase == .reducing
    for (node, kept) in current.kept where isCounting {
      try require(accepted.contains(node), "the gradient of \(described(node)) is kept, and not accepted")
      try require(peers[kept.peer]?.kept[kept.lease] == node, "nobody keeps the gradient of \(described(node))")
    }
    for peer in peers {
      try require(
        peer.kept.allSatisfy { current.kept[$0.value]?.lease == $0.key }, "\(described(peer.id)) keeps what it need not"
      )
    }
    try require(isReduced || current.kept.isEmpty, "gradients are kept, and step \(step) is not reduced")
    let held = current.acceptedNodes.count - current.kept.count
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
