import Messages
import Numerics

// MARK: - A lease is computed

extension Coordinator {
  mutating func finished(_ finished: Finished, from peer: PeerID, _ effects: inout [Effect]) {
    // Said once more before the grant was heard: its gradient is still to be kept.
    if peers[peer]?.keeps(finished.lease) == true { return counts.duplicates += 1 }
    guard let index = leases.index(of: finished.lease) else {
      // Late: the lease was taken back, or its slices came from another worker.
      counts.late += 1
      return effects.append(.send(.cancel(finished.lease), to: peer))
    }
    let lease = leases[index]
    guard lease.peer == peer else {
      return offend(peer, "a result for lease \(lease.id.number), which is another worker's", &effects)
    }
    if let problem = problem(of: finished, for: lease) {
      drop(lease.id, tellWorker: true, &effects)
      exclude(peer, from: lease.slices, for: CoordinationLimits.returnPause)
      return offend(peer, problem, &effects)
    }
    switch lease.state {
    case .granted(finished, _):
      counts.duplicates += 1
      // The first one may be lost.
      effects.append(.send(.grant(lease.id, keepsGradient: lease.keepsGradient), to: peer))
    case .waiting(finished, _):
      counts.duplicates += 1
    case .granted, .waiting:
      drop(lease.id, tellWorker: true, &effects)
      exclude(peer, from: lease.slices, for: CoordinationLimits.returnPause)
      offend(peer, "two different results for lease \(lease.id.number)", &effects)
    case .computing:
      learnPace(from: lease)
      let bad = zip(lease.slices.indices, finished.losses).filter { !$1.total.isFinite || !$1.targetEntropy.isFinite }
      guard bad.isEmpty else { return gaveNotFinite(lease, &effects) }
      leases.finish(at: index, with: finished, at: now)
      // Others announced the same, and its gradient was not finite.
      if current.notFinite[lease.slices] == Self.comparable(finished) { return gaveNotFinite(leases[index], &effects) }
      if compareCopies(of: lease.slices, &effects) { return }
      hear(finished, from: peer, &effects)
    }
  }

  /// What is wrong with a result's fields; nil when nothing is.
  private func problem(of finished: Finished, for lease: OpenLease) -> String? {
    if finished.step != step || finished.slices != lease.slices {
      return "a result for lease \(lease.id.number) with another step or other slices"
    }
    if finished.losses.count != lease.slices.count {
      return "\(finished.losses.count) losses for \(lease.slices.count) slices"
    }
    let count = settings.shape.payloadCount(slices: lease.slices.count)
    if finished.payloadCount != count { return "a payload of \(finished.payloadCount) floats, not \(count)" }
    let (slots, chosen) = (settings.shape.watchedSlots, finished.chosen)
    if chosen.count != (slots + 7) / 8 || slots % 8 != 0 && chosen[chosen.count - 1] >> UInt8(slots % 8) != 0 {
      return "\(chosen.count) bytes of chosen slots, not a bit for each of \(slots)"
    }
    if (finished.gradient != nil) != isReduced {
      return isReduced ? "a result without its gradient's hash" : "a gradient's hash that nobody asked for"
    }
    return problem(of: finished.undecodable, on: lease.slices)
  }

  /// A quarter of the running mean is the newest result: a few leases after a machine's pace changed it is known.
  private mutating func learnPace(from lease: OpenLease) {
    let newest = (now - lease.issuedAt) / lease.rounds
    let mean = peers[lease.peer]?.pace
    setPace(mean.map { ($0 * 3 + newest) / 4 } ?? newest, of: lease.peer)
  }

  /// What follows from a worker's pace for its leases follows too.
  mutating func setPace(_ pace: Duration, of peer: PeerID) {
    guard let place = peers.place(of: peer) else { return }
    peers[place].pace = pace
    for lease in peers[place].leases {
      if let index = leases.index(of: lease) { leases[index].expected = pace * leases[index].rounds }
    }
  }
}

// MARK: - A payload comes

extension Coordinator {
  mutating func pushArrived(_ id: LeaseID, _ outcome: PushOutcome, _ effects: inout [Effect]) {
    guard let lease = leases[id], case .granted(let finished, _) = lease.state else {
      counts.duplicates += 1
      return
    }
    peers[lease.peer]?.heard = now
    switch outcome {
    case .whole:
      delivered(lease)
      accept(lease, finished, &effects)
    case .damaged:
      counts.damaged += 1
      drop(id, tellWorker: true, &effects)
      exclude(lease.peer, from: lease.slices, for: CoordinationLimits.returnPause)
      failedToDeliver(lease.peer, "pushed other bits than it had announced for \(described(lease.slices))", &effects)
    case .notFinite:
      delivered(lease)
      gaveNotFinite(lease, &effects)
    }
  }

  private mutating func accept(_ lease: OpenLease, _ finished: Finished, _ effects: inout [Effect]) {
    if let index = leases.index(of: lease.id) { removeLease(at: index) }
    current.slices.accept(lease.slices)
    current.acceptedNodes.append(lease.slices)
    note(acceptedFrom: lease.peer, finished, &effects)
    peers[lease.peer]?.accepted += lease.slices.count
    counts.accepted += 1
    counts.rowsCached &+= finished.traffic.cached
    counts.rowsFetched &+= finished.traffic.fetched
    counts.rowWaitSeconds += Double(finished.traffic.waited) / 1e6
    if lease.keepsGradient { keep(finished, of: lease, &effects) }
    effects.append(.accept(lease.id, finished))
    // Copies, whole or in part, are no longer wanted. A larger one goes too, for it cannot be taken apart; what it
    // had besides is free again, and fewer slices are left than before: so this ends.
    let copies = leases.indices.filter { leases[$0].slices.overlaps(lease.slices) }.map { leases[$0].id }
    for copy in copies {
      counts.duplicates += 1
      noteOvertaken(copy)
      if !keepSpare(copy, of: lease, finished) { drop(copy, tellWorker: true, &effects) }
    }
    guard phase == .computing, current.slices.isComplete else { return }
    if isReduced { return reduce(&effects) }
    exchange.reducers = 0
    phase = .updating(then: nil)
    effects.append(.startUpdate(step: step))
  }
}

// MARK: - A result that does not help

extension Coordinator {
  mutating func returned(_ message: Returned, from peer: PeerID, _ effects: inout [Effect]) {
    if evaluationReturned(message, from: peer, &effects) { return }
    guard let lease = leases[message.lease], lease.peer == peer else { return }
    counts.returned += 1
    drop(lease.id, tellWorker: false, &effects)
    exclude(peer, from: lease.slices, for: CoordinationLimits.returnPause)
    if let problem = problem(of: message.undecodable, on: lease.slices) { return offend(peer, problem, &effects) }
    if lease.isGranted {
      failedToDeliver(peer, "gave \(described(lease.slices)) back instead of pushing it", &effects)
    }
    guard phase == .computing else { return }
    // Too many in a row to replace one by the next are too many for the run, if they are: that is looked into first.
    if accuse(message.undecodable, by: peer) {
      return log(
        .warning, .returns, about: peer,
        "\(described(peer)) gave back \(described(lease.slices)) for pictures that are looked at now: "
          + shortened(message.reason), &effects)
    }
    guard !message.isPassing else {
      let line = "\(described(peer)) gave back \(described(lease.slices)) for now: \(shortened(message.reason))"
      if let line = givenBack.note(line, number: lease.id.number, at: now.sinceStart) {
        effects.append(.log(.warning, line))
      }
      return
    }
    for slice in lease.slices.indices { current.returned[slice, default: [:]][peer, default: 0] += 1 }
    let reason = shortened(message.reason)
    let present = peers.filter(isPresent)
    let permanent = lease.slices.indices.filter { slice in
      present.allSatisfy { current.returned[slice]?[$0.id] ?? 0 >= CoordinationLimits.returns }
    }
    guard let slice = permanent.first else {
      return log(
        .warning, .returns, about: peer, "\(described(peer)) gave back \(described(lease.slices)): \(reason)", &effects)
    }
    conclude(
      with: .failed(
        "Slice \(slice) of step \(step) was given back \(CoordinationLimits.returns) times by every worker, the last time by "
          + "\(described(peer)): \(reason)"), &effects)
  }
}
