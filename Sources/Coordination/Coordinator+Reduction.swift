import Messages
import Numerics
import Slices

/// Gradients that stay with who computed them, and are added up among the workers: a reduce-scatter.
///
/// A step is reduced where that is faster than to have every gradient cross the coordinator's link. Its results are granted
/// without their gradients, which their workers keep. Once all slices are in, the gradient's chunks are dealt to reducers,
/// which pull them from whoever has them and send each sum to the coordinator, once.
///
/// Nobody's word about another counts. What a reducer does not give, or says that it cannot have, the coordinator adds up
/// itself; only what the coordinator itself cannot pull is lost, and its slices are leased again.
///
/// At `audit_rate` a chunk is added up by two hosts, and the two sums are compared before one counts.
struct KeptGradient: Sendable {
  let lease: LeaseID
  let peer: PeerID
  /// What was announced of it.
  let finished: Finished
}

// MARK: - When

extension Coordinator {
  /// Whether gradients of the step stay with who computed them.
  var isReduced: Bool { current.isReduced ?? false }

  /// Decides how the step's gradients are added up, before its first lease.
  mutating func decideOnReduction() {
    guard current.isReduced == nil else { return }
    let chunks = GradientChunk.count(ofFloats: settings.shape.gradientCount)
    let present = peers.filter(isPresent)
    let strangers = present.count { !mayKeep($0) }
    // A lease has one slice at least: so nobody has to wait for room as a rule.
    let room = present.reduce(0) { $0 + (mayKeep($1) ? $1.gradientRoom : 0) }
    let isPossible =
      tree.count <= min(room, WireLimits.gradientsReduced) && chunks <= WireLimits.gradientChunks
      && now >= exchange.reducesNotBefore ?? now
    // Whoever keeps nothing may wait for the step's end: the coordinator keeps few gradients.
    let areFew = settings.exchanges == true || strangers * CoordinationLimits.strangersShare <= present.count
    current.isReduced = isPossible && areFew && paysToExchange(with: reducers.count)
  }

  /// Whether a worker could keep gradients for others, its room aside.
  func mayKeep(_ peer: Peer) -> Bool {
    peer.gradientRoom > 0 && peer.reach.isReached && !peer.delivery.isOnProbation
  }

  /// Whether a worker's next gradient of the step may stay with it.
  /// - Parameter others: of its own that may yet have to stay too.
  func hasRoomToKeep(_ peer: Peer, beside others: Int) -> Bool {
    isReduced && mayKeep(peer) && peer.kept.count + others < peer.gradientRoom
  }

  /// Gradients of the step that the coordinator keeps: of workers that cannot.
  private var held: Int { current.acceptedNodes.count - current.kept.count }

  /// Whether a worker that may not keep the gradient may have a lease: the coordinator has to have room for it.
  func mayLeaseWithoutKeeping() -> Bool {
    guard isReduced else { return true }
    let pushed = leases.count { lease in
      peers[lease.peer].map { !hasRoomToKeep($0, beside: $0.leases.count - 1) } ?? true
    }
    return held + pushed < CoordinationLimits.gradientsHeld
  }

  /// Whether the coordinator has a place for one more gradient of a reduced step.
  func hasPlace(beside granted: Int) -> Bool { !isReduced || held + granted < CoordinationLimits.gradientsHeld }

  /// A step of which the coordinator cannot take more, and that nobody else can keep, begins again without a reduction.
  mutating func giveUpReduction(_ effects: inout [Effect]) {
    guard phase == .computing, isReduced, held >= CoordinationLimits.gradientsHeld else { return }
    let goesOn = peers.contains { peer in
      isPresent(peer) && hasRoomToKeep(peer, beside: 0)
        && (peer.idleThreads > 0 || peer.leases.contains { leases[$0].map { !$0.isOverdue } ?? false })
    }
    guard !goesOn else { return }
    effects.append(
      .log(
        .warning,
        "Step \(step) begins again: \(held) of its gradients are here, and no worker has room to keep its own for others."
      ))
    exchange.reducesNotBefore = now + CoordinationLimits.reductionPause
    startOver(&effects)
    current.isReduced = false
  }
}

// MARK: - Gradients that are kept

extension Coordinator {
  /// A lease's gradient stays with its worker.
  mutating func keep(_ finished: Finished, of lease: OpenLease, _ effects: inout [Effect]) {
    current.kept[lease.slices] = KeptGradient(lease: lease.id, peer: lease.peer, finished: finished)
    peers[lease.peer]?.kept[lease.id] = lease.slices
    makeRoomForGradients(at: lease.peer, &effects)
  }

  /// The first holder of a node's gradient has it no more. Where there is no second one its slices are leased again.
  /// - Parameter everywhere: no other has it either.
  mutating func loseGradient(of node: SliceRange, everywhere: Bool = false, _ effects: inout [Effect]) {
    guard let kept = current.kept.removeValue(forKey: node) else { return }
    peers[kept.peer]?.kept[kept.lease] = nil
    effects.append(.send(.cancel(kept.lease), to: kept.peer))
    // Else the step is over, or nothing of it counts any more.
    guard phase == .computing || phase == .reducing else { return dropSpares(of: node, &effects) }
    if !everywhere, promoteSpare(of: node) { return }
    dropSpares(of: node, &effects)
    counts.lostGradients += 1
    current.slices.reject(node)
    current.acceptedNodes.removeAll { $0 == node }
    effects.append(.forgetResult(node))
    guard phase == .reducing else { return }
    phase = .computing
    effects.append(.abandonSums)
  }

  /// All that a worker keeps is lost: it is gone, or will be.
  mutating func loseGradients(of peer: PeerID, _ effects: inout [Effect]) {
    dropSpares(of: peer, &effects)
    guard let kept = peers[peer]?.kept, !kept.isEmpty else { return }
    for (_, node) in kept.sorted(by: { $0.key < $1.key }) { loseGradient(of: node, &effects) }
  }

  /// Nobody has to keep a gradient of the step any more.
  mutating func releaseGradients(_ effects: inout [Effect]) {
    for (_, kept) in current.kept.sorted(by: { $0.value.lease < $1.value.lease }) {
      effects.append(.send(.cancel(kept.lease), to: kept.peer))
      peers[kept.peer]?.kept[kept.lease] = nil
    }
    current.kept = [:]
    for peer in peers.indices.map({ peers[$0].id }) { dropSpares(of: peer, &effects) }
  }
}

// MARK: - Adding up

extension Coordinator {
  /// Of each host the first that is reached and delivers, and was heard lately.
  private var reducers: [PeerID] {
    let willing = peers.indices.filter { place in
      now - peers[place].heard < CoordinationLimits.keeperSilence
        && peers[place].reducesNotBefore.map { $0 <= now } ?? true
    }
    return weightSources(among: willing).map { peers[$0].id }
  }

  /// All slices are in: deals the chunks that are not.
  mutating func reduce(_ effects: inout [Effect]) {
    phase = .reducing
    nothingExpiresBefore = now
    // The last sum convicted a host whose results had to be computed again.
    if current.sums?.isComplete == true { return endReduction(&effects) }
    var board =
      current.sums
      ?? SumBoard(chunks: GradientChunk.count(ofFloats: settings.shape.gradientCount), at: now)
    let workers = reducers
    exchange.deals += 1
    exchange.reducers = workers.count
    board.deal(as: exchange.deals, to: workers, at: now) { chunk in
      guard settings.audits.rate > 0 else { return false }
      var stream = RandomStream(
        RandomKey(
          seed: settings.audits.seed, purpose: .audit, step: UInt64(step), image: UInt64(chunk), view: .max))
      return stream.uniform() < settings.audits.rate
    }
    current.sums = board
    let asked = workers.map { ($0, board.chunks(of: .worker($0))) }.filter { !$0.1.isEmpty }
    // Room first: a sum may come at once.
    effects.append(
      .expectSums(
        ExpectedSums(
          step: step, deal: board.number, chunks: Dictionary(uniqueKeysWithValues: asked),
          compared: Set(board.chunks.indices.filter { board.chunks[$0].isCompared && !board.chunks[$0].isIn }))))
    var reduction = newestReduction
    for (peer, chunks) in asked {
      reduction.chunks = chunks
      effects.append(.send(.reduction(reduction), to: peer))
    }
    addUp(board.chunks(of: .coordinator), &effects)
  }

  private func addUp(_ chunks: [Int], _ effects: inout [Effect]) {
    guard !chunks.isEmpty else { return }
    var reduction = newestReduction
    reduction.chunks = chunks
    effects.append(.reduce(reduction))
  }

  /// The newest deal's, of no chunks yet.
  private var newestReduction: Reduction {
    let gradients = current.acceptedNodes.sorted { $0.first < $1.first }.map { node in
      let holders = (current.kept[node].map { [$0] } ?? []) + (current.spares[node] ?? [])
      let addresses = holders.compactMap { peers[$0.peer]?.reach.address }
      return Reduction.Gradient(
        slices: node, hash: addresses.isEmpty ? nil : holders.first?.finished.gradient?.hash, holders: addresses)
    }
    return Reduction(step: step, number: exchange.deals, gradients: gradients, chunks: [])
  }

  /// The coordinator adds up what a worker does not.
  private mutating func takeOver(_ chunks: [Int], _ effects: inout [Effect]) {
    guard let new = current.sums?.takeOver(chunks), !new.isEmpty else { return }
    counts.sumsTakenOver += new.count
    addUp(new, &effects)
  }

  /// A worker does not add up what it was asked for.
  /// - Parameter why: for people, after the worker's name.
  private mutating func replace(_ peer: PeerID, chunks: [Int], because why: String, _ effects: inout [Effect]) {
    peers[peer]?.reducesNotBefore = now + CoordinationLimits.reducerPause
    takeOver(chunks, &effects)
    log(
      .warning, .deliveries, about: peer,
      "\(described(peer)) \(why): the coordinator adds up its \(chunks.count) chunks of step \(step) itself.", &effects)
  }

  /// Takes over from those that are gone or late.
  mutating func replaceLateReducers(_ effects: inout [Effect]) {
    guard phase == .reducing else { return }
    for peer in peers where peer.keepsGradients && now - peer.heard >= CoordinationLimits.keeperSilence {
      loseGradients(of: peer.id, &effects)
    }
    guard phase == .reducing, let board = current.sums else { return }
    let taken = Double(current.acceptedNodes.count) / Double(max(1, board.open.count))
    let crossing = leases.usualDelivery.map { $0 * taken }
    for (peer, chunks) in board.waitedFor {
      let isGone = peers[peer].map { !isPresent($0) } ?? true
      guard isGone || board.isLate(peer, at: now, crossing: crossing) else { continue }
      replace(peer, chunks: chunks, because: isGone ? "is gone before its sums came" : "sends no sums", &effects)
    }
  }
}

// MARK: - What comes

extension Coordinator {
  /// Two announcements of one node that differ are an audit, whatever the rate: of a gradient that stays with its worker
  /// nothing but the announcement is ever compared.
  /// - Returns: whether they differ, and are heard.
  mutating func compareCopies(of node: SliceRange, _ effects: inout [Effect]) -> Bool {
    guard isReduced, !settings.compatibility.allowsMixed, current.audits[node] == nil else { return false }
    let copies = leases.filter { $0.slices == node }
    let announced = copies.compactMap { copy in copy.finished.map { (copy.peer, $0) } }
    guard Set(announced.map { Self.comparable($0.1) }).count > 1 else { return false }
    for copy in copies where copy.isGranted {
      if let index = leases.index(of: copy.id) { leases.giveUpGrant(at: index, at: now) }
      effects.append(.abandonPush(copy.id))
    }
    var audit = Audit()
    audit.leases = copies.map(\.id)
    current.audits[node] = audit
    for (peer, finished) in announced { hear(finished, from: peer, &effects) }
    return true
  }

  mutating func sumArrived(_ sum: ArrivedSum, _ effects: inout [Effect]) {
    let reducer = sum.peer.map { SumBoard.Reducer.worker($0) } ?? .coordinator
    if let peer = sum.peer { peers[peer]?.heard = now }
    guard phase == .reducing,
      let taken = current.sums?.take(
        SumBoard.Answer(reducer: reducer, isFinite: sum.isFinite, hash: sum.hash), ofChunk: sum.chunk, deal: sum.deal,
        at: now)
    else { return }
    switch taken {
    case .ofNoUse: counts.duplicates += 1
    case .kept: break
    case .differs: takeOver([sum.chunk], &effects)
    case .counts(let wrong): summed(sum.chunk, by: sum.peer, wrong: wrong, &effects)
    }
  }

  private mutating func summed(
    _ chunk: Int, by peer: PeerID?, wrong: [SumBoard.Answer], _ effects: inout [Effect]
  ) {
    if let peer, current.sums?.chunks[chunk].isCompared == false, let host = peers[peer]?.host {
      hosts.counts(host, unauditedIn: step)
    }
    let answers = wrong.compactMap { answer -> Audit.Answer? in
      guard case .worker(let id) = answer.reducer, let peer = peers[id] else { return nil }
      return Audit.Answer(
        peer: id, host: peer.host, worker: peer.name, result: answer.isFinite ? .otherSum : .notFinite)
    }
    if !answers.isEmpty { quarantine(answers, tree.root, &effects) }
    if phase == .reducing, current.sums?.isComplete == true { endReduction(&effects) }
  }

  /// All sums are in.
  private mutating func endReduction(_ effects: inout [Effect]) {
    phase = .updating(then: nil)
    effects.append(.startUpdate(step: step))
    releaseGradients(&effects)
  }

  /// A worker cannot add up some of its chunks.
  mutating func reductionFailed(_ failure: ReductionFailure, from peer: PeerID, _ effects: inout [Effect]) {
    guard phase == .reducing, failure.number == current.sums?.number else { return }
    let chunks = current.sums?.chunks(of: .worker(peer)) ?? []
    let failed = chunks.filter(Set(failure.chunks).contains)
    guard !failed.isEmpty else { return }
    replace(
      peer, chunks: failed, because: "cannot add up what others computed (\(shortened(failure.reason)))", &effects)
  }

  /// The coordinator itself cannot pull a node's gradient, or it is not finite.
  mutating func gradientUnavailable(_ lost: UnavailableGradient, _ effects: inout [Effect]) {
    guard phase == .reducing, lost.deal == current.sums?.number, let kept = current.kept[lost.slices] else { return }
    loseGradient(of: lost.slices, everywhere: true, &effects)
    switch lost.problem {
    case .notFinite:
      current.notFinite[lost.slices] = Self.comparable(kept.finished)
      gaveNotFinite(lost.slices, by: kept.peer, kept.finished, &effects)
    case .notGiven(let reason):
      exclude(kept.peer, from: lost.slices, for: CoordinationLimits.returnPause)
      failedToDeliver(
        kept.peer, "does not give the gradient of \(described(lost.slices)) (\(shortened(reason)))", &effects)
    }
  }
}
