import Messages
import Numerics

// MARK: - Who speaks

extension Coordinator {
  /// Checks who says it before what is said.
  mutating func receive(
    _ message: WorkerMessage, from sender: Sender, _ origin: Origin, _ effects: inout [Effect]
  ) {
    guard !offenders.isIgnored(sender.peer) else { return }
    if case .statusRequest = message { return effects.append(.sendStatus(to: sender.peer)) }
    if case .memoryRequest = message { return effects.append(.sendMemory(to: sender.peer)) }
    if case .drainRequest(let shard) = message { return answerDrain(board?.drain(shard), sender.peer, &effects) }
    if case .stayRequest(let shard) = message { return answerDrain(board?.cancelDrain(shard), sender.peer, &effects) }
    if case .hello(let hello) = message { return greet(hello, from: sender, origin, &effects) }
    guard let problem = refusal(of: sender) else {
      peers[sender.peer]?.heard = now
      peers[sender.peer]?.isConnected = true
      switch message {
      case .ready(let ready): self.ready(ready, from: sender.peer, &effects)
      case .finished(let finished): self.finished(finished, from: sender.peer, &effects)
      case .returned(let returned): self.returned(returned, from: sender.peer, &effects)
      case .reductionFailed(let failure): reductionFailed(failure, from: sender.peer, &effects)
      case .evaluated(let evaluated): self.evaluated(evaluated, from: sender.peer, &effects)
      case .goodbye:
        log(.info, .leaves, about: sender.peer, "\(described(sender.peer)) leaves.", &effects)
        forget(sender.peer, &effects)
      case .hello, .statusRequest, .memoryRequest, .drainRequest, .stayRequest: break  // handled above
      }
      return
    }
    // Who leaves needs no answer.
    if case .goodbye = message { return }
    refuse(sender.peer, problem, &effects)
  }

  private func answerDrain(_ answer: (isAccepted: Bool, text: String)?, _ peer: PeerID, _ effects: inout [Effect]) {
    let (isAccepted, text) = answer ?? (false, "This run keeps its memory in the coordinator.")
    effects.append(.send(.drain(isAccepted: isAccepted, text: text), to: peer))
  }

  /// Why a message from `sender` does not count, whatever it says.
  private func refusal(of sender: Sender) -> Refusal? {
    if sender.run != settings.run {
      return Refusal(reason: .otherRun, text: "Another run answers at this address: check --coordinator.")
    }
    if sender.incarnation > settings.incarnation { return outdated(by: sender) }
    if sender.incarnation < settings.incarnation {
      return Refusal(reason: .unknownPeer, text: "The coordinator started anew: say hello.")
    }
    if peers[sender.peer] == nil {
      return Refusal(reason: .unknownPeer, text: "The coordinator does not know this worker: say hello.")
    }
    return nil
  }

  func outdated(by sender: Sender) -> Refusal {
    Refusal(
      reason: .unknownPeer,
      text: "This is incarnation \(settings.incarnation.number) of the run, and \(sender.incarnation.number) has been "
        + "seen: a newer coordinator was started elsewhere. Stop this one.")
  }

  mutating func refuse(_ peer: PeerID, _ refusal: Refusal, _ effects: inout [Effect]) {
    counts.refusals += 1
    effects.append(.send(.refusal(refusal), to: peer))
  }

  /// For people: name and fingerprint of a peer.
  func described(_ peer: PeerID) -> String {
    peers[peer].map { "worker '\($0.name)' (\(peer.fingerprint))" } ?? "\(peer)"
  }

  func isPresent(_ peer: Peer) -> Bool { peer.isPresent(at: now) }

  /// A peer's connection is gone: others get its slices at once. It may come back, and its answer still counts if it is
  /// the first.
  mutating func disconnected(_ id: PeerID, _ effects: inout [Effect]) {
    guard let peer = peers[id], peer.isConnected else { return }
    peers[id]?.isConnected = false
    peers[id]?.idleThreads = 0
    nothingExpiresBefore = now
    guard !peer.leases.isEmpty || !peer.kept.isEmpty else { return }
    let kept = peer.kept.isEmpty ? "" : ", and the \(peer.kept.count) gradients that it keeps are computed again"
    effects.append(
      .log(
        .info, "\(described(id)) lost its connection: its \(peer.leases.count) leases are given to others too\(kept)."))
  }

  /// Forgets a peer; its leases are free.
  mutating func forget(_ peer: PeerID, _ effects: inout [Effect]) {
    for lease in peers[peer]?.leases ?? [] { drop(lease, tellWorker: false, &effects) }
    loseGradients(of: peer, &effects)
    peers[peer] = nil
    current.exclusions.removeAll { $0.whom == .peer(peer) }
    for slice in current.returned.keys { current.returned[slice]?[peer] = nil }
  }
}

// MARK: - Hello

extension Coordinator {
  private mutating func greet(_ hello: Hello, from sender: Sender, _ origin: Origin, _ effects: inout [Effect]) {
    let peer = sender.peer
    guard 1...WireLimits.threads ~= hello.threads else {
      return offend(
        peer, "hello with \(hello.threads) threads; 1 to \(WireLimits.threads) are allowed", &effects)
    }
    guard hello.name.utf8.count <= CoordinationLimits.textLength, hello.host.utf8.count <= CoordinationLimits.textLength
    else {
      return offend(
        peer, "hello with a name of \(hello.name.utf8.count) bytes, a host of \(hello.host.utf8.count)", &effects)
    }
    if let refusal = refusal(of: hello, from: sender, origin) {
      log(.warning, .refusals, about: peer, "Refused worker '\(hello.name)': \(refusal.text)", &effects)
      refuse(peer, refusal, &effects)
      // A worker ends at such a word; it does not ask again.
      if [.protocolVersion, .computeClass, .quarantined].contains(refusal.reason), isOneTooMany(from: peer) {
        ignore(peer, "said hello \(CoordinationLimits.malformedMessages) times, though it is refused", &effects)
      }
      return
    }
    if probe == nil {
      probe = hello.probe
      effects.append(
        .log(
          .info,
          "Workers' probe is \(hello.probe), as the first of them has it, '\(hello.name)': who rounds otherwise is refused."
        ))
    }
    if hello.probe != probe, peers[peer] == nil {
      counts.otherClass += 1
      log(
        .warning, .joins, about: nil,
        "Worker '\(hello.name)' is of another compute class: from here on the result depends on who computed it.",
        &effects)
    }
    // With other threads or on another host it is another worker.
    hosts.meet(hello.host)
    if let known = peers[peer], known.threads != hello.threads || known.host != hello.host { forget(peer, &effects) }
    if peers[peer] == nil {
      makeRoom(for: origin, &effects)
      peers[peer] = Peer(
        id: peer, name: hello.name, host: hello.host, origin: origin, threads: hello.threads,
        isOtherClass: hello.probe != probe, evaluates: hello.evaluates, heard: now)
      log(.info, .joins, about: peer, "\(described(peer)) joins with \(hello.threads) threads.", &effects)
      peers[peer]?.reach.offer(hello.address, isNew: true)
    } else {
      // Said twice, or the welcome was lost. What it holds it says with `ready`.
      peers[peer]?.name = hello.name
      peers[peer]?.reach.offer(hello.address, isNew: false)
      peers[peer]?.origin = origin
      peers[peer]?.threads = hello.threads
      peers[peer]?.evaluates = hello.evaluates
      peers[peer]?.idleThreads = 0
      peers[peer]?.heard = now
      peers[peer]?.isConnected = true
    }
    effects.append(.send(.welcome(settings.welcome), to: peer))
    if case .leaving = phase { effects.append(.send(.finished, to: peer)) }
  }

  private var isFull: Bool { peers.count >= settings.peersAtMost }

  /// A full table has a place for an origin that has fewer than others.
  private mutating func makeRoom(for origin: Origin, _ effects: inout [Effect]) {
    guard isFull, let displaced = peers.displaced(by: origin), let crowd = peers[displaced]?.origin else { return }
    let why =
      "of the coordinator's \(settings.peersAtMost) workers \(peers.count(from: crowd)) come from one place (\(crowd)), and this "
      + "one has delivered nothing yet: it gives its place to one from elsewhere"
    log(.warning, .refusals, about: displaced, "\(described(displaced)) has to leave: \(why).", &effects)
    refuse(
      displaced, Refusal(reason: .tooManyPeers, text: "Full: \(why). Another is free when one has left."), &effects)
    forget(displaced, &effects)
  }

  private func refusal(of hello: Hello, from sender: Sender, _ origin: Origin) -> Refusal? {
    if sender.run != settings.run, sender.run != RunIdentity(high: 0, low: 0) {
      return Refusal(reason: .otherRun, text: "Another run answers at this address: check --coordinator.")
    }
    if sender.incarnation > settings.incarnation { return outdated(by: sender) }
    let own = settings.compatibility
    if hello.protocolVersion != own.protocolVersion {
      let older = hello.protocolVersion < own.protocolVersion ? "worker" : "coordinator"
      return Refusal(
        reason: .protocolVersion,
        text: "The worker speaks protocol \(hello.protocolVersion), the coordinator \(own.protocolVersion): "
          + "update the \(older).")
    }
    if let probe, hello.probe != probe, !own.allowsMixed {
      let whose =
        own.computes ? "the coordinator's \(probe) (\(own.libraries))" : "that of the run's workers \(probe)"
      return Refusal(
        reason: .computeClass,
        text: "The worker's probe is \(hello.probe) (\(hello.libraries)), \(whose): their processors or libraries "
          + "round differently. Give both the same massl, OpenBLAS and libjpeg, or --allow-mixed to do without equal "
          + "bits.")
    }
    if let refusal = hosts.quarantine(of: hello.host) { return refusal }
    guard hosts.hasRoom(for: hello.host) else {
      return Refusal(
        reason: .tooManyPeers,
        text:
          "The run remembers \(CoordinationLimits.hosts) hosts that worked for it, and takes no more: give this worker a host "
          + "name that was there before (--host).")
    }
    if peers[sender.peer] == nil, isFull, peers.displaced(by: origin) == nil {
      let cause = settings.peersAtMost < CoordinationLimits.peers ? " for its limit of open files (ulimit -n)" : ""
      return Refusal(
        reason: .tooManyPeers,
        text: "The coordinator has \(settings.peersAtMost) workers, and takes no more\(cause): try again when one has "
          + "left.")
    }
    return nil
  }
}

// MARK: - Ready

extension Coordinator {
  private mutating func ready(_ ready: Ready, from id: PeerID, _ effects: inout [Effect]) {
    guard let peer = peers[id] else { return }
    guard 0...peer.threads ~= ready.idleThreads else {
      return offend(id, "ready with \(ready.idleThreads) idle threads of \(peer.threads)", &effects)
    }
    guard
      ready.held.count <= CoordinationLimits.heldLeases(threads: peer.threads, gradients: ready.gradients)
    else {
      return offend(id, "ready with \(ready.held.count) leases held", &effects)
    }
    if case .leaving = phase { return effects.append(.send(.finished, to: id)) }
    effects.append(.send(.heartbeat(step: step), to: id))

    peers[id]?.gradientRoom = ready.gradients
    let held = Set(ready.held)
    for (lease, node) in peer.kept.sorted(by: { $0.key < $1.key }) where !held.contains(lease) {
      loseGradient(of: node, &effects)
    }
    for lease in peer.spares.keys.sorted() where !held.contains(lease) { dropSpare(lease, of: id, &effects) }
    checkEvaluation(heldBy: id, held, &effects)
    makeRoomForGradients(at: id, &effects)
    var onTheWay = 0
    for lease in peer.leases where !held.contains(lease) {
      guard let lease = leases[lease] else { continue }
      switch lease.state {
      case .computing where now - lease.issuedAt < CoordinationLimits.delivery:
        onTheWay += min(lease.slices.count, peer.threads)
      case .waiting(_, let since) where now - since < CoordinationLimits.delivery:
        break
      case .granted(_, let heard) where now - heard < CoordinationLimits.delivery:
        break  // the last of its payload may be on the other socket
      case .computing:
        counts.lost += 1
        if current.audits[lease.slices]?.since != nil { current.audits[lease.slices]?.isForgotten = true }
        drop(lease.id, tellWorker: false, &effects)
        // A lost message, or one that takes slices and forgets them: it may try again, but keeps none from others.
        putOnProbation(id)
      case .waiting, .granted:
        counts.lost += 1
        drop(lease.id, tellWorker: false, &effects)
        failedToDeliver(id, "forgot \(described(lease.slices)), which it had announced", &effects)
      }
    }
    // Not if it is ignored from here on.
    guard peers[id] != nil else { return }
    peers[id]?.idleThreads = max(0, ready.idleThreads - onTheWay)
    var known = peers[id].map { $0.leases + $0.kept.keys + $0.spares.keys } ?? []
    if let evaluation = evaluations.lease(of: id) { known.append(evaluation) }
    for lease in held.subtracting(known).sorted() { effects.append(.send(.cancel(lease), to: id)) }
  }
}

// MARK: - Nonsense

extension Coordinator {
  /// Answers a bad message and counts it; above the limit its sender is forgotten and ignored.
  mutating func offend(_ peer: PeerID, _ reason: String, _ effects: inout [Effect]) {
    counts.malformed += 1
    // Some reasons are sentences of their own.
    let reason = shortened(reason.hasSuffix(".") ? String(reason.dropLast()) : reason)
    log(.warning, .badMessages, about: peer, "\(described(peer)) sent a bad message: \(reason).", &effects)
    // Of more strangers than are remembered none is answered: they could not be told when they went too far.
    guard isRemembered(peer) else { return }
    refuse(peer, Refusal(reason: .malformed, text: "Bad message: \(reason)."), &effects)
    if isOneTooMany(from: peer) {
      ignore(peer, "sent \(CoordinationLimits.malformedMessages) bad messages, the last: \(reason)", &effects)
    }
  }

  /// Whether there is a place for it in the table of offenders.
  private func isRemembered(_ peer: PeerID) -> Bool { offenders.hasPlace(for: peer, isWorker: peers[peer] != nil) }

  /// Counts an offence, where it can be remembered.
  private mutating func isOneTooMany(from peer: PeerID) -> Bool {
    isRemembered(peer) && offenders.count(peer, at: now)
  }

  /// Forgets a peer, and hears nothing from it for a while.
  /// - Parameter why: for people, after the peer's name.
  mutating func ignore(_ peer: PeerID, _ why: String, _ effects: inout [Effect]) {
    offenders.ignore(peer, at: now)
    // Once a peer in all that time.
    log(
      .error, .badMessages, about: nil,
      "\(described(peer)) \(why). It is ignored for \(CoordinationLimits.ignored.words).", &effects)
    forget(peer, &effects)
  }

  /// A text from outside, short enough for a log line.
  func shortened(_ text: String) -> String {
    guard text.utf8.count > CoordinationLimits.textLength else { return text }
    return String(decoding: text.utf8.prefix(CoordinationLimits.textLength), as: UTF8.self) + "..."
  }
}
