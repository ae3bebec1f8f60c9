import Messages
import Numerics

/// Payloads on their way: who gets a place, who has to give it away again, and what becomes of a worker that announces
/// and does not deliver.
///
/// A grant of which nothing arrives blocks a place, and its slices for everybody else. So after a few of the usual times
/// its slices are leased again, which blames nobody, and whoever could use its place gets it. Its worker is then on
/// probation until it delivers: what it holds keeps no slice from others, and its payloads come when no one else's could.
/// So whatever it does then delays nobody, and how slow a link may be is no question: what arrives in time counts. Who
/// goes on so is named, gets no lease for a growing while, and in the end is ignored.
extension Coordinator {
  /// Lets as many payloads come as there is room for, first come first, those of workers on probation last and one at a
  /// time. Of two copies of a slice only one comes; the other waits until it has arrived, for it may fail.
  ///
  /// - Complexity: O(waiting + granted), and O(granted) more for each that there is room for. Leases and peers are read where
  ///   they are, for with a thousand workers hundreds wait at each event.
  mutating func grant(_ effects: inout [Effect]) {
    guard !leases.waiting.isEmpty, hasRoom else { return }
    var coming = leases.granted.compactMap { leases[$0]?.slices }
    for onProbation in [false, true] {
      if onProbation, leases.granted.contains(where: isOfOneOnProbation) { return }
      for id in leases.waiting {
        guard let index = leases.index(of: id), let place = peers.place(of: leases[index].peer),
          peers[place].delivery.isOnProbation == onProbation
        else { continue }
        let keepsGradient = keepsNextGradient(place)
        guard hasRoom(keepingGradient: keepsGradient), isReadyToCome(leases[index], of: peers[place]) else { continue }
        let slices = leases[index].slices
        guard let finished = leases[index].finished, !coming.contains(where: { $0.overlaps(slices) }) else { continue }
        leases.grant(at: index, keepsGradient: keepsGradient, at: now)
        coming.append(slices)
        effects.append(.expectPush(id, from: peers[place].id, finished, keepsGradient: keepsGradient))
        effects.append(.send(.grant(id, keepsGradient: keepsGradient), to: peers[place].id))
        if onProbation || !hasRoom { return }
      }
    }
  }

  /// Whether the next gradient of the worker at a place may stay with it.
  private func keepsNextGradient(_ place: Int) -> Bool {
    guard isReduced else { return false }
    var coming = 0
    for id in peers[place].leases {
      if let index = leases.index(of: id), leases[index].keepsGradient { coming += 1 }
    }
    return hasRoomToKeep(peers[place], beside: coming)
  }

  /// Whether one more payload may be on its way, of either kind.
  private var hasRoom: Bool { hasRoom(keepingGradient: false) || isReduced && hasRoom(keepingGradient: true) }

  /// Whether one more payload may be on its way.
  private func hasRoom(keepingGradient keeps: Bool) -> Bool {
    let granted = leases.granted(keepingGradient: keeps)
    return keeps
      ? granted < CoordinationLimits.tailsInFlight
      : granted < CoordinationLimits.gradientsInFlight && hasPlace(beside: granted)
  }

  private func isOfOneOnProbation(_ id: LeaseID) -> Bool {
    leases[id].flatMap { peers[$0.peer]?.delivery.isOnProbation } ?? false
  }

  /// But for the room.
  private func isReadyToCome(_ lease: OpenLease, of peer: Peer) -> Bool {
    guard let finished = lease.finished else { return false }
    return isPresent(peer) && isCleared(finished) && isProven(finished)
  }
}

// MARK: - What arrives

extension Coordinator {
  mutating func pushProgressed(_ id: LeaseID) {
    guard let index = leases.index(of: id), leases[index].isGranted, let place = peers.place(of: leases[index].peer)
    else { return }
    leases.progress(at: index, begun: begun(leases[index], by: peers[place]), at: now)
    peers[place].heard = now
    peers[place].delivery.heard = now
  }

  /// A payload is whole: its worker delivers.
  mutating func delivered(_ lease: OpenLease) {
    guard let place = peers.place(of: lease.peer) else { return }
    // What a tail takes says nothing of a link.
    if !lease.keepsGradient, let begun = begun(lease, by: peers[place]) {
      let newest = now - begun
      func mean(_ before: Duration?) -> Duration { before.map { ($0 * 3 + newest) / 4 } ?? newest }
      leases.usualDelivery = mean(leases.usualDelivery)
      peers[place].delivery.usual = mean(peers[place].delivery.usual)
    }
    peers[place].delivery.succeeded(at: now)
  }

  /// From when on a granted payload could come: a worker pushes one after the other. Kept once the first of it is here.
  private func begun(_ lease: OpenLease, by peer: Peer) -> Instant? {
    lease.isArriving ? lease.grantedAt : lease.grantedAt.map { max($0, peer.delivery.heard ?? $0) }
  }
}

// MARK: - What does not

extension Coordinator {
  /// Takes places away that are of more use to others, and slices from payloads that are late.
  mutating func watchDeliveries(_ effects: inout [Effect]) {
    // What follows may end others of them.
    for id in leases.granted {
      guard let lease = leases[id], case .granted(_, let heard) = lease.state, let peer = peers[lease.peer],
        let begun = begun(lease, by: peer), let grantedAt = lease.grantedAt
      else { continue }
      guard isPresent(peer) else {
        giveAway(lease)
        effects.append(.abandonPush(id))
        continue
      }
      let silence = now - max(heard, begun)
      let isSilent = silence >= CoordinationLimits.pushSilence
      let isLate: Bool
      if lease.isArriving {
        // That its line is slow is no fault of its: others compute its slices too, and the first wins.
        let isLong =
          usual(of: peer).map {
            now - grantedAt >= max($0 * CoordinationLimits.patience, CoordinationLimits.pushSilence)
          } ?? false
        isLate = isLong || silence >= patience(with: peer) * 2
      } else {
        isLate = silence >= patience(with: peer)
      }
      if isSilent || (isLate || peer.delivery.isOnProbation) && isInTheWay(lease) {
        takeAway(lease, silentFor: isSilent || !lease.isArriving ? silence : .zero, &effects)
      } else if isLate {
        makeOverdue(id)
      }
    }
  }

  /// How long its payloads usually take; nil when nobody's is known.
  private func usual(of peer: Peer) -> Duration? { peer.delivery.usual ?? leases.usualDelivery }

  /// How long nothing may arrive of a payload that others wait for.
  private func patience(with peer: Peer) -> Duration {
    min(
      max((usual(of: peer) ?? .zero) * CoordinationLimits.patience, CoordinationLimits.stall),
      CoordinationLimits.pushSilence)
  }

  /// Whether another payload could come in its place, of a worker that delivers as far as is known.
  private func isInTheWay(_ lease: OpenLease) -> Bool {
    let isFull = !hasRoom(keepingGradient: lease.keepsGradient)
    return leases.waiting.contains { id in
      guard let other = leases[id], let place = peers.place(of: other.peer), !peers[place].delivery.isOnProbation,
        isReadyToCome(other, of: peers[place])
      else { return false }
      if other.slices.overlaps(lease.slices) { return other.peer != lease.peer }
      return isFull && keepsNextGradient(place) == lease.keepsGradient
        && !leases.granted.contains { leases[$0]?.slices.overlaps(other.slices) ?? false }
    }
  }

  /// Gives a granted payload's place away. Its worker may be granted it again, after all others.
  private mutating func takeAway(_ lease: OpenLease, silentFor silence: Duration, _ effects: inout [Effect]) {
    guard let place = peers.place(of: lease.peer) else { return }
    giveAway(lease)
    effects.append(.abandonPush(lease.id))
    putOnProbation(lease.peer)
    peers[place].delivery.silentFor = peers[place].delivery.silentFor + silence
    // Before anybody's delivery is known it may be the usual one.
    let limit = usual(of: peers[place]) == nil ? CoordinationLimits.pushSilence : patience(with: peers[place])
    guard peers[place].delivery.silentFor >= limit else { return }
    let silent = peers[place].delivery.silentFor.words
    failedToDeliver(
      lease.peer, "announced \(described(lease.slices)), and for \(silent) after the grant nothing came",
      &effects)
  }

  private mutating func giveAway(_ lease: OpenLease) {
    guard let index = leases.index(of: lease.id), lease.isGranted else { return }
    leases.giveUpGrant(at: index, at: now)
    makeOverdue(lease.id)
  }

  /// Its leases keep no slice from others until it delivers.
  mutating func putOnProbation(_ peer: PeerID) {
    guard let place = peers.place(of: peer) else { return }
    peers[place].delivery.isOnProbation = true
    for lease in peers[place].leases { makeOverdue(lease) }
  }

  /// Others answered a lease. Who takes lease after lease and answers none costs a wait each time, as who announces and
  /// does not deliver does: one whose pace is not known, or that is slower than its own.
  mutating func noteOvertaken(_ id: LeaseID) {
    guard let lease = leases[id], lease.isLive, let place = peers.place(of: lease.peer) else { return }
    if let expected = lease.expected, (now - lease.issuedAt) * 2 <= expected * 3 { return }
    peers[place].delivery.overtaken += 1
    if peers[place].delivery.overtaken >= CoordinationLimits.overtaken { putOnProbation(lease.peer) }
  }

  /// A worker did not deliver what it had announced.
  /// - Parameter what: for people, after the worker's name.
  mutating func failedToDeliver(_ peer: PeerID, _ what: String, _ effects: inout [Effect]) {
    guard let place = peers.place(of: peer) else { return }
    putOnProbation(peer)
    counts.undelivered += 1
    peers[place].delivery.silentFor = .zero
    peers[place].delivery.undelivered += 1
    peers[place].delivery.failures += 1
    let failures = peers[place].delivery.failures
    guard failures < CoordinationLimits.failures else {
      let text =
        "\(failures) payloads of this worker in a row did not come, though it had announced them: look at its way to port "
        + "\(settings.welcome.bulkPort) of the coordinator"
      refuse(
        peer, Refusal(reason: .tooManyPeers, text: "\(text). It is ignored for \(CoordinationLimits.ignored.words)."),
        &effects)
      return ignore(peer, "\(what). \(text)", &effects)
    }
    let pause = CoordinationLimits.returnPause * (1 << (failures - 1))
    peers[place].delivery.noLeaseBefore = now + pause
    log(
      .warning, .deliveries, about: peer,
      "\(described(peer)) \(what): others compute it. It gets no lease for \(pause.words), and comes last until it "
        + "delivers.", &effects)
  }
}
