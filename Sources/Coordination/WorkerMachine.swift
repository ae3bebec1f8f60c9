import Messages

/// What a worker says and does, from events and time alone: the pure state machine of one worker process.
///
/// It has no socket, clock, thread or file. The process around it gives it each event with the time, and carries out the
/// effects in the order in which they are returned.
///
///     var machine = WorkerMachine(settings, at: now)
///     for effect in machine.handle(.tick, at: now) { ... }      // says hello
///
/// It says hello until it is welcomed, joins the run, and takes leases. A lease is computed, then announced, again and
/// again until it is granted, then pushed, one after the other in the order of the grants. Its gradient may be granted to
/// stay: then others fetch it until the lease is cancelled or a later step begins. A lease may be cancelled at any point;
/// whatever goes wrong gives it back. A coordinator that is away is waited for. One that comes back, or does not
/// know this worker, is greeted anew, and leases of the one before are void.
public struct WorkerMachine: Sendable {
  public struct Settings: Sendable {
    /// What it says of itself.
    public var hello: Hello
    /// Who it is, to the coordinator.
    public var peer: PeerID
    /// Where the coordinator is, for people.
    public var coordinator: String
    /// Silence after which the coordinator is given up; nil: never.
    public var givesUpAfter: Duration?

    public init(hello: Hello, peer: PeerID, coordinator: String, givesUpAfter: Duration? = nil) {
      self.hello = hello
      self.peer = peer
      self.coordinator = coordinator
      self.givesUpAfter = givesUpAfter
    }
  }

  /// How far a lease is.
  enum Stage: Hashable, Sendable {
    case computing
    /// Waits for a grant.
    case announced(Finished)
    /// Is pushed, or waits until those granted before it are; its gradient then stays here, or does not.
    case granted(step: Int, keepsGradient: Bool)
    /// What is not its gradient was pushed; that is for others to fetch.
    case kept(step: Int)
  }

  let settings: Settings
  var contact: CoordinatorContact
  /// The time of the last event: a clock that steps back is held here.
  var now: Instant
  var hasEnded = false

  // MARK: The session

  /// Of the newest `.join`.
  var session = 0
  /// From `.join` to `.leave`.
  var isInSession = false
  /// What leases may say; nil before the run is joined.
  var bounds: LeaseBounds?
  /// Gradients that may be kept for others.
  var gradientRoom = 0
  /// The newest reduction's number.
  var reduction: UInt64 = 0
  /// The newest evaluation, until its lease is cancelled or given back.
  var evaluation: (lease: LeaseID, answer: Evaluated?)?
  var held: [LeaseID: Stage] = [:]
  /// By lease, whether held or not: slices that are not off their threads yet.
  var open: [LeaseID: Int] = [:]
  /// Leases that wait to be pushed, in the order of their grants.
  var granted: [LeaseID] = []
  /// The lease whose payload is on its way, whether held or not.
  var pushing: LeaseID?

  // MARK: Trouble

  /// Leases given back, one after the other.
  var failures = 0
  /// Until then no work is asked for.
  var restsUntil: Instant
  var givenBack = GatheredLines("leases were given back for now")

  public init(_ settings: Settings, at now: Instant) {
    self.settings = settings
    self.now = now
    contact = CoordinatorContact(
      as: settings.peer, to: settings.coordinator, givesUpAfter: settings.givesUpAfter, at: now)
    restsUntil = now
  }

  /// On every word that it says now.
  public var sender: Sender { contact.sender }

  /// Takes one event in, and says what to do about it, in order.
  ///
  /// - Parameter time: the time of the event; one before the last event's is taken as the last event's.
  public mutating func handle(_ event: WorkerEvent, at time: Instant) -> [WorkerEffect] {
    now = max(now, time)
    guard !hasEnded else { return [] }
    var effects: [WorkerEffect] = []
    switch event {
    case .received(let message, let sender): receive(message, from: sender, &effects)
    case .connectionLost:
      contact.connectionLost(at: now)
      // At once it would go the way of the last word: the next look says what is due.
      return effects
    case .socketFailed(let reason): stop(.socketFailed(reason: reason), &effects)
    case .joined(let bounds, let gradientRoom): joined(bounds, gradientRoom, &effects)
    case .couldNotJoin(let reason):
      isInSession = false
      stop(.turnedAway(reason: "its run cannot be joined: \(reason)"), &effects)
    case .work(let progress, let session):
      // Of a session that ended nothing counts: its leases are void.
      if isInSession, session == self.session { take(progress, &effects) }
    case .tick: break
    case .stopRequested: stop(.stopped, &effects)
    }
    lookAtTheClock(&effects)
    return effects
  }

  private mutating func lookAtTheClock(_ effects: inout [WorkerEffect]) {
    guard !hasEnded else { return }
    for duty in contact.duties(at: now, log: { effects.append(.log($0, $1)) }) {
      switch duty {
      case .sayHello: sayHello(&effects)
      case .showLife:
        sayReady(&effects)
        announceAgain(&effects)
      case .giveUp: stop(.silent, &effects)
      }
    }
  }

  private mutating func stop(_ ending: WorkerEnding, _ effects: inout [WorkerEffect]) {
    if isInSession {
      leave(&effects)
      effects.append(.say(.goodbye, as: sender))
    }
    hasEnded = true
    effects.append(.stop(ending))
  }
}

// MARK: - The coordinator

extension WorkerMachine {
  private mutating func receive(
    _ message: CoordinatorMessage, from sender: Sender, _ effects: inout [WorkerEffect]
  ) {
    let wasInSession = isInSession
    switch contact.hear(message, from: sender, at: now, log: { effects.append(.log($0, $1)) }) {
    case .stranger: return
    case .followed: break
    case .successor: if wasInSession { greetAnew(&effects) }
    }
    switch message {
    case .welcome(let welcome):
      // It comes again when a hello was sent twice. Then the coordinator wants to hear anew who is idle.
      if isInSession { sayReady(&effects) } else { join(welcome, &effects) }
    case .refusal(let refusal): refused(refusal, wasInSession: wasInSession, &effects)
    case .finished: stop(.finished, &effects)
    case .lease(let lease): take(lease, &effects)
    case .grant(let lease, let keepsGradient): grant(lease, keepsGradient: keepsGradient, &effects)
    case .reduction(let reduction): take(reduction, &effects)
    case .evaluate(let evaluate): take(evaluate, &effects)
    case .cancel(let lease): if !forgetEvaluation(lease, &effects) { forget(lease, &effects) }
    case .heartbeat(let step): if isInSession { forgetGradients(before: step, &effects) }
    case .status, .shardWelcome, .assignment, .memory, .drain: break
    }
  }

  private mutating func join(_ welcome: Welcome, _ effects: inout [WorkerEffect]) {
    session += 1
    isInSession = true
    contact.welcomed(at: now)
    effects.append(.join(welcome, as: sender, session: session))
  }

  private mutating func joined(_ bounds: LeaseBounds, _ gradientRoom: Int, _ effects: inout [WorkerEffect]) {
    guard isInSession else { return }
    self.bounds = bounds
    self.gradientRoom = min(gradientRoom, WireLimits.gradientsKept)
    effects.append(
      .log(
        .info, "Joined the run at \(settings.coordinator), incarnation \(sender.incarnation.number)."))
    sayReady(&effects)
  }

  private mutating func refused(
    _ refusal: Refusal, wasInSession: Bool, _ effects: inout [WorkerEffect]
  ) {
    switch refusal.reason {
    case .unknownPeer, .otherRun:
      // Without a session the hello itself was refused, for now: the next one waits its turn.
      guard wasInSession else { return effects.append(.log(.warning, refusal.text)) }
      greetAnew(&effects)
      effects.append(.log(.info, "\(refusal.text) Saying hello again."))
    // Hello is said again in a while.
    case .malformed, .tooManyPeers, .duplicateShard: effects.append(.log(.warning, refusal.text))
    case .protocolVersion, .computeClass, .quarantined: stop(.turnedAway(reason: refusal.text), &effects)
    }
  }

  private mutating func greetAnew(_ effects: inout [WorkerEffect]) {
    leave(&effects)
    contact.isUnknown(at: now)
  }

  private mutating func leave(_ effects: inout [WorkerEffect]) {
    guard isInSession else { return }
    isInSession = false
    bounds = nil
    (held, open, granted, pushing) = ([:], [:], [], nil)
    (gradientRoom, reduction, evaluation) = (0, 0, nil)
    (failures, restsUntil) = (0, now)
    effects.append(.leave)
  }

  private func sayHello(_ effects: inout [WorkerEffect]) {
    effects.append(.say(.hello(settings.hello), as: sender))
  }
}
