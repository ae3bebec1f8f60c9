import Messages
import Numerics

extension WorkerMachine {
  /// After the second lease in a row that was given back no work is asked for, for so long; after each further one twice
  /// as long, and at most for `longestRest`: what fails here may succeed elsewhere, or later.
  private static let rest = Duration.milliseconds(100)
  private static let longestRest = Duration.seconds(5)
}

// MARK: - From the coordinator

extension WorkerMachine {
  mutating func take(_ lease: Lease, _ effects: inout [WorkerEffect]) {
    guard let bounds, held[lease.lease] == nil else { return }
    let problem =
      bounds.problem(of: lease)
      ?? (heldLeases.count < WireLimits.heldLeases ? nil : "\(WireLimits.heldLeases) leases are held already")
    if let problem {
      let returned = Returned(lease: lease.lease, reason: "the lease cannot be computed: \(problem)")
      // One that no worker could compute says nothing about this one.
      log(returned, failures: 1, &effects)
      return effects.append(.say(.returned(returned), as: sender))
    }
    forgetGradients(before: lease.step, &effects)
    held[lease.lease] = .computing
    open[lease.lease, default: 0] += lease.slices.count
    effects.append(.compute(lease))
  }

  mutating func grant(_ lease: LeaseID, keepsGradient: Bool, _ effects: inout [WorkerEffect]) {
    switch held[lease] {
    case .announced(let finished):
      held[lease] = .granted(step: finished.step, keepsGradient: keepsGradient)
      granted.append(lease)
      pushNext(&effects)
    // Granted anew, before it was its turn.
    case .granted(let step, _) where granted.contains(lease):
      held[lease] = .granted(step: step, keepsGradient: keepsGradient)
    case .computing, .granted, .kept, nil: return
    }
  }

  /// Gradients of steps that are over are of no use to anybody.
  mutating func forgetGradients(before step: Int, _ effects: inout [WorkerEffect]) {
    for lease in held.keys.sorted() {
      if case .kept(let kept) = held[lease], kept < step { forget(lease, &effects) }
    }
  }

  /// Whatever it is told, it keeps no more than it has room for: the oldest is the one whose end may be on its way here.
  private mutating func makeRoomForGradient(_ effects: inout [WorkerEffect]) {
    let kept = held.keys.sorted().filter { if case .kept = held[$0] { true } else { false } }
    if kept.count >= gradientRoom, let oldest = kept.first { forget(oldest, &effects) }
  }

  /// The newest reduction counts: what is added up for an older one is not taken.
  mutating func take(_ reduction: Reduction, _ effects: inout [WorkerEffect]) {
    guard let bounds, reduction.number > self.reduction else { return }
    self.reduction = reduction.number
    if let problem = bounds.problem(of: reduction) {
      let failure = ReductionFailure(
        number: reduction.number, chunks: reduction.chunks, reason: "the gradients cannot be added up: \(problem)")
      return effects.append(.say(.reductionFailed(failure), as: sender))
    }
    effects.append(.reduce(reduction))
  }

  /// Drops a lease, if it is held; what is being pushed of it goes on until that says how it ended.
  mutating func forget(_ lease: LeaseID, _ effects: inout [WorkerEffect]) {
    guard held.removeValue(forKey: lease) != nil else { return }
    granted.removeAll { $0 == lease }
    effects.append(.forget(lease))
  }

  private mutating func pushNext(_ effects: inout [WorkerEffect]) {
    guard pushing == nil, !granted.isEmpty else { return }
    let lease = granted.removeFirst()
    guard case .granted(_, let keepsGradient) = held[lease] else {
      fatalError("invariant broken: lease \(lease.number) is to be pushed, and is not granted")
    }
    pushing = lease
    effects.append(.push(lease, keepsGradient: keepsGradient))
  }
}

// MARK: - From the threads

extension WorkerMachine {
  mutating func take(_ progress: WorkerProgress, _ effects: inout [WorkerEffect]) {
    switch progress {
    case .computed(let finished):
      guard case .computing = held[finished.lease] else { return }
      failures = 0
      held[finished.lease] = .announced(finished)
      effects.append(.say(.finished(finished), as: sender))
    case .failed(let returned): giveBack(returned, &effects)
    case .slicesEnded(let lease, let count):
      let left = (open[lease] ?? 0) - count
      invariant(left >= 0, "\(-left) slices of lease \(lease.number) ended that were not begun")
      open[lease] = left == 0 ? nil : left
      sayReady(&effects)
    case .pushed(let lease):
      if case .granted(let step, keepsGradient: true) = held[lease] {
        makeRoomForGradient(&effects)
        held[lease] = .kept(step: step)
      } else {
        forget(lease, &effects)
      }
      pushEnded(lease, &effects)
    case .pushFailed(let returned):
      giveBack(returned, &effects)
      pushEnded(returned.lease, &effects)
    case .reductionFailed(let failure):
      guard failure.number == reduction else { return }
      effects.append(.log(.warning, "Cannot add up \(failure.chunks.count) chunks of gradients: \(failure.reason)."))
      effects.append(.say(.reductionFailed(failure), as: sender))
    case .evaluated(let evaluated):
      guard evaluation?.lease == evaluated.lease else { return }
      evaluation?.answer = evaluated
      effects.append(.say(.evaluated(evaluated), as: sender))
    case .evaluationFailed(let returned):
      guard evaluation?.lease == returned.lease else { return }
      evaluation = nil
      effects.append(.log(.warning, "The teacher could not be evaluated: \(returned.reason)."))
      effects.append(.say(.returned(returned), as: sender))
    }
  }

  private mutating func pushEnded(_ lease: LeaseID, _ effects: inout [WorkerEffect]) {
    if pushing == lease { pushing = nil }
    pushNext(&effects)
  }

  /// The first failure gives a lease back, not each of its slices.
  private mutating func giveBack(_ returned: Returned, _ effects: inout [WorkerEffect]) {
    guard held[returned.lease] != nil else { return }
    forget(returned.lease, &effects)
    failures += 1
    restsUntil = now + min(Self.longestRest, Self.rest * (1 << min(16, max(0, failures - 2))))
    log(returned, failures: failures, &effects)
    effects.append(.say(.returned(returned), as: sender))
  }

  /// What may pass is said once in a while; else the first of a row, and fewer and fewer of those that follow.
  private mutating func log(_ returned: Returned, failures: Int, _ effects: inout [WorkerEffect]) {
    let row = failures == 1 ? "" : ", the last of \(failures) in a row"
    let line = "Gave lease \(returned.lease.number) back\(row): \(returned.reason)."
    let said: String? =
      returned.isPassing
      ? givenBack.note(line, number: returned.lease.number, at: now.sinceStart)
      : failures.nonzeroBitCount == 1 ? line : nil
    if let said { effects.append(.log(.warning, said)) }
  }
}

// MARK: - To the coordinator

extension WorkerMachine {
  /// Asks for work, and is the heartbeat.
  func sayReady(_ effects: inout [WorkerEffect]) {
    guard bounds != nil else { return }
    let isResting = failures > 1 && now < restsUntil
    let idle = max(0, settings.hello.threads - open.values.reduce(0, +))
    effects.append(
      .say(
        .ready(Ready(idleThreads: isResting ? 0 : idle, held: heldLeases, gradients: gradientRoom)), as: sender)
    )
  }

  /// What it says that it holds, in the order of the numbers.
  private var heldLeases: [LeaseID] { (held.keys + [evaluation?.lease].compactMap(\.self)).sorted() }

  /// Says again what was announced and is not granted: the word, or the grant, may be lost. In the order of the leases.
  mutating func announceAgain(_ effects: inout [WorkerEffect]) {
    for lease in held.keys.sorted() {
      if case .announced(let finished) = held[lease] { effects.append(.say(.finished(finished), as: sender)) }
    }
    if let answer = evaluation?.answer { effects.append(.say(.evaluated(answer), as: sender)) }
    if let line = givenBack.rest(at: now.sinceStart) { effects.append(.log(.warning, line)) }
  }
}

// MARK: - Invariants

extension WorkerMachine {
  /// Checks what holds between any two events; for tests and the simulator.
  public func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError("worker \(settings.hello.name): \(message())") }
    }
    let waiting = Set(granted)
    try require(waiting.count == granted.count, "a lease waits twice to be pushed")
    try require(pushing != nil || granted.isEmpty, "nothing is pushed though \(granted.count) leases are granted")
    for lease in granted {
      let isGranted = if case .granted = held[lease] { true } else { false }
      try require(isGranted, "lease \(lease.number) is to be pushed, not granted")
    }
    let kept = held.values.count { if case .kept = $0 { true } else { false } }
    try require(kept <= gradientRoom, "\(kept) gradients kept, of \(gradientRoom)")
    for (lease, stage) in held {
      switch stage {
      case .computing: try require(open[lease] ?? 0 > 0, "lease \(lease.number) is computed on no thread")
      case .announced(let finished): try require(finished.lease == lease, "lease \(lease.number) has another's result")
      case .kept: break
      case .granted:
        try require(waiting.contains(lease) || pushing == lease, "lease \(lease.number) is granted, and never pushed")
      }
    }
    try require(heldLeases.count <= WireLimits.heldLeases, "\(heldLeases.count) leases held")
    try require(
      isInSession || held.isEmpty && open.isEmpty && pushing == nil && evaluation == nil, "work without a session")
    try require(contact.isWelcome || !isInSession, "a session with a coordinator that does not know it")
  }
}
