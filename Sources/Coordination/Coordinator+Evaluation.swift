import Messages

// Now and then a worker judges the newest teacher by a sample of pictures, beside its leases. Nothing of the run follows
// from what it says, and nothing waits for it but, for a while, the end of the run.

// MARK: - When

extension Coordinator {
  /// A new version is there. One that waited to be judged is so no more: nobody gives its weights.
  mutating func evaluationReached(_ step: Int, _ effects: inout [Effect]) {
    if let due = evaluations.due {
      let why =
        evaluations.asked.map { "the evaluation of step \($0.step) still goes on" }
        ?? "no worker that can took it while the weights were there"
      leaveOut(due, why, &effects)
    }
    guard evaluations.isDue(step, last: settings.lastStep) else { return }
    if step == settings.lastStep {
      evaluations.endsBefore = now + CoordinationLimits.lastEvaluation
      loseEvaluation("the last step comes first", &effects)
    }
    evaluations.due = step
    evaluations.failed = []
  }

  /// Asks one worker, if a step is due: the fastest of those that work on it, which have the weights or soon will; after
  /// the last step the fastest of all.
  mutating func askForEvaluation(_ effects: inout [Effect]) {
    guard let due = evaluations.due, evaluations.asked == nil, let sample = evaluations.settings else { return }
    guard due == step, mayEvaluate else { return }
    let isOver = phase != .computing
    let failed = evaluations.failed
    let able = peers.filter { peer in
      peer.evaluates && isPresent(peer) && !peer.delivery.isOnProbation && !failed.contains(peer.id)
        && (isOver || !peer.leases.isEmpty)
    }
    guard let peer = able.min(by: { $0.pace ?? .seconds(3600) < $1.pace ?? .seconds(3600) }) else {
      if isOver { leaveOut(due, "no worker is there that can", &effects) }
      return
    }
    let board = pictures
    let usable = sample.pictures.indices.filter { !board.isLost(sample.pictures[$0], in: due) }
    guard !usable.isEmpty else { return leaveOut(due, "all pictures of its sample are lost", &effects) }
    let lease = leases.reserve()
    evaluations.due = nil
    evaluations.asked = EvaluationBoard.Asked(lease: lease, step: due, peer: peer.id, since: now)
    if isOver {
      effects.append(
        .log(
          .info,
          "All steps are done. The run waits for the evaluation of the last, "
            + "\(CoordinationLimits.lastEvaluation.words) at most, unless it is told to stop."))
    }
    effects.append(
      .send(
        .evaluate(
          Evaluate(
            lease: lease, step: due, teacher: version.teacher, pictures: usable.map { sample.pictures[$0] },
            classes: usable.map { sample.classes[$0] })), to: peer.id))
  }

  /// Of a run that ends otherwise than by its last step nothing is judged any more.
  private var mayEvaluate: Bool {
    switch phase {
    case .computing: true
    case .concluding(let end): end.reason == .finished && !end.givesUp
    case .reducing, .updating, .leaving, .stopped: false
    }
  }

  /// Whether the end of the run is still to wait for an evaluation.
  var awaitsEvaluation: Bool {
    mayEvaluate && (evaluations.asked != nil || evaluations.due != nil) && now < (evaluations.endsBefore ?? now)
  }
}

// MARK: - What comes of it

extension Coordinator {
  mutating func evaluated(_ evaluated: Evaluated, from peer: PeerID, _ effects: inout [Effect]) {
    // Heard, whatever it says: it need not be said again.
    effects.append(.send(.cancel(evaluated.lease), to: peer))
    guard let asked = evaluations.asked, asked.lease == evaluated.lease else {
      if leases[evaluated.lease]?.peer == peer { offend(peer, "an evaluation for a lease of slices", &effects) }
      return
    }
    guard asked.peer == peer else { return offend(peer, "an evaluation that another worker was asked for", &effects) }
    if let problem = problem(of: evaluated.figures) {
      loseEvaluation("its worker said what cannot be", &effects)
      return offend(peer, problem, &effects)
    }
    evaluations.asked = nil
    effects.append(
      .evaluated(
        Evaluation(step: asked.step, figures: evaluated.figures, worker: peer, duration: now - asked.since)))
  }

  /// What is wrong with figures; nil if they may be.
  private func problem(of figures: Evaluated.Figures) -> String? {
    guard let sample = evaluations.settings else { return "an evaluation that nobody asked for" }
    guard 1...sample.pictures.count ~= figures.pictures, 0...figures.pictures ~= figures.asked,
      0...figures.asked ~= figures.right
    else { return "an evaluation of \(figures.pictures) pictures of \(sample.pictures.count)" }
    // A smooth rank may be above the number of directions by its 1e-7.
    let most = 1.001 * Double(sample.width)
    for (name, value, range) in [
      ("RankMe", figures.rankMe, 0...most), ("LiDAR", figures.lidar, 0...most),
      ("alpha-ReQ", figures.alphaReQ, -1000...1000),
    ] where !range.contains(value) {
      return "\(name) \(value), not in \(range.lowerBound)...\(range.upperBound)"
    }
    return nil
  }

  /// Looks after who is asked.
  mutating func watchEvaluation(_ effects: inout [Effect]) {
    guard let asked = evaluations.asked else { return }
    guard let peer = peers[asked.peer], isPresent(peer) else {
      return loseEvaluation("its worker is gone", &effects)
    }
    if now - asked.since >= CoordinationLimits.evaluation {
      loseEvaluation("it takes too long", &effects)
    }
  }

  /// What a worker says that it holds: one that was asked and does not is lost, or the question was.
  mutating func checkEvaluation(heldBy peer: PeerID, _ held: Set<LeaseID>, _ effects: inout [Effect]) {
    guard let asked = evaluations.asked, asked.peer == peer, !held.contains(asked.lease),
      now - asked.since >= CoordinationLimits.delivery
    else { return }
    loseEvaluation("its worker forgot it", &effects)
  }

  /// It was given back.
  mutating func evaluationReturned(_ returned: Returned, from peer: PeerID, _ effects: inout [Effect]) -> Bool {
    guard evaluations.lease(of: peer) == returned.lease else { return false }
    loseEvaluation(shortened(returned.reason), &effects)
    return true
  }

  /// Another is asked while the weights can be had; else the step is left out.
  mutating func loseEvaluation(_ reason: String, _ effects: inout [Effect]) {
    guard let asked = evaluations.asked else { return }
    evaluations.asked = nil
    evaluations.failed.insert(asked.peer)
    effects.append(.send(.cancel(asked.lease), to: asked.peer))
    // A newer step that is due comes first.
    if asked.step == step, evaluations.due == nil, mayEvaluate {
      evaluations.due = asked.step
      log(
        .info, .evaluations, about: nil,
        "The evaluation of step \(asked.step) is given to another worker: \(reason).", &effects)
    } else {
      leaveOut(asked.step, reason, &effects)
    }
  }

  /// The run ends: what is judged, or was to be, is not.
  mutating func endEvaluations(_ effects: inout [Effect]) {
    if let due = evaluations.due { leaveOut(due, "the run ends", &effects) }
    guard let asked = evaluations.asked else { return }
    evaluations.asked = nil
    leaveOut(asked.step, "the run ends", &effects)
  }

  private mutating func leaveOut(_ step: Int, _ reason: String, _ effects: inout [Effect]) {
    if evaluations.due == step { evaluations.due = nil }
    log(.warning, .evaluations, about: nil, "Step \(step) is not evaluated: \(reason).", &effects)
  }
}
