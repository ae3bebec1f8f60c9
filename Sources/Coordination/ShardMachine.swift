import Messages
import Numerics

/// What a memory shard says and does, from events and time alone: the pure state machine of one shard process.
///
/// It has no socket, clock, thread or file. The process around it gives it each event with the time, and carries out the
/// effects in the order in which they are returned.
///
///     var machine = ShardMachine(settings, holding: [:], at: now)
///     for effect in machine.handle(.tick, at: now) { ... }      // says hello
///
/// It says hello, with all that it holds, until it is welcomed, and then reports: each second, and when a copy has ended
/// or damage was found. What happens to an extent is a change with a number, said again until an assignment shows that it
/// was heard. The newest assignment counts, whenever an older one arrives. A coordinator that is away is waited for. One
/// that comes back, or does not know this shard, is greeted anew, and nothing is copied until it says what.
/// The newest incarnation that it joined is stored before a report goes to it: what a coordinator counts on, no
/// older one can have removed, though the shard's process begin anew.
public struct ShardMachine: Sendable {
  public struct Settings: Sendable {
    /// For people: its host.
    public var name: String
    public var shard: ShardID
    /// Where it serves rows.
    public var address: BulkAddress
    /// Bytes that it offers.
    public var capacity: Int
    /// Whose rows it has; nil in a directory that no run has used yet.
    public var run: RunIdentity?
    /// The newest incarnation of `run` that was joined; 0: none is known.
    public var incarnation: Incarnation
    public var protocolVersion: UInt32
    /// Who it is, to the coordinator.
    public var peer: PeerID
    /// Where the coordinator is, for people.
    public var coordinator: String
    /// Where its files are, for people.
    public var directory: String
    /// Silence after which the coordinator is given up; nil: never.
    public var givesUpAfter: Duration?

    public init(
      name: String, shard: ShardID, address: BulkAddress, capacity: Int, run: RunIdentity?,
      incarnation: Incarnation = Incarnation(0), protocolVersion: UInt32 = WireLimits.protocolVersion, peer: PeerID,
      coordinator: String, directory: String,
      givesUpAfter: Duration? = nil
    ) {
      self.name = name
      self.shard = shard
      self.address = address
      self.capacity = capacity
      self.run = run
      self.incarnation = incarnation
      self.protocolVersion = protocolVersion
      self.peer = peer
      self.coordinator = coordinator
      self.directory = directory
      self.givesUpAfter = givesUpAfter
    }
  }

  /// So long after its start another process with this shard's identity may be its own predecessor, which the coordinator
  /// does not know to be dead.
  static let duplicatePatience = Duration.seconds(15)

  let settings: Settings
  var contact: CoordinatorContact
  /// The time of the last event: a clock that steps back is held here.
  var now: Instant
  let begun: Instant
  var hasEnded = false
  /// As the process has them now.
  public var figures = ShardFigures()

  // MARK: The session

  /// From `.join` to `.leave`.
  var isInSession = false
  /// The process is ready for what is assigned.
  var isJoined = false
  /// The newest run that was joined, or whose rows it had from the start.
  var run: RunIdentity?

  // MARK: Extents

  /// What is there whole: by extent the low half of the digest after its last row.
  var held: [Int: UInt64]
  /// Damage that was said, of extents that were not copied anew or removed since.
  var damaged: Set<Int> = []
  /// What has happened to extents and is not known to be heard.
  var changes: [ExtentChange] = []
  /// The number of the first of `changes`.
  var firstChange: UInt64 = 0
  /// The number of the newest assignment that was heard of `assigner`; 0 for none.
  public internal(set) var assignment: UInt64 = 0
  /// Who counts assignments: another incarnation begins anew.
  var assigner: Sender?

  // MARK: Trouble

  /// When people may be told again that the run cannot be joined yet.
  var complainAt: Instant
  var problem = ""
  var isFull = false
  var failedCopies = GatheredLines("extents could not be copied")
  var failedRemovals = GatheredLines("extents could not be removed")

  /// - Parameter held: the extents that are there whole, each with the low half of the digest after its last row.
  public init(_ settings: Settings, holding held: [Int: UInt64], at now: Instant) {
    self.settings = settings
    self.held = held
    self.now = now
    begun = now
    run = settings.run
    complainAt = now
    contact = CoordinatorContact(
      as: settings.peer, to: settings.coordinator,
      following: settings.run.flatMap { settings.incarnation.number == 0 ? nil : ($0, settings.incarnation) },
      remedy: "Stop that coordinator. If the run directory was put back from an older copy, remove \"incarnation\" "
        + "from \(settings.directory)/shard.json instead, and start this shard again.",
      givesUpAfter: settings.givesUpAfter, at: now)
  }

  /// Takes one event in, and says what to do about it, in order.
  ///
  /// - Parameter time: the time of the event; one before the last event's is taken as the last event's.
  public mutating func handle(_ event: ShardEvent, at time: Instant) -> [ShardEffect] {
    now = max(now, time)
    guard !hasEnded else { return [] }
    var effects: [ShardEffect] = []
    switch event {
    case .received(let message, let sender): receive(message, from: sender, &effects)
    case .connectionLost:
      contact.connectionLost(at: now)
      // At once it would go the way of the last word: the next look says what is due.
      return effects
    case .socketFailed(let reason): stop(.socketFailed(reason: reason), &effects)
    case .joined: joined(&effects)
    case .notJoined(let reason): notJoined(reason, &effects)
    case .couldNotJoin(let reason):
      isInSession = false
      stop(.turnedAway(reason: "its run cannot be joined: \(reason)"), &effects)
    case .extent(let progress): take(progress, &effects)
    case .damaged(let extents): take(damage: extents, &effects)
    case .tick: break
    case .failed: stop(.failed, &effects)
    case .stopRequested: stop(.stopped, &effects)
    }
    lookAtTheClock(&effects)
    return effects
  }

  private mutating func lookAtTheClock(_ effects: inout [ShardEffect]) {
    guard !hasEnded else { return }
    for duty in contact.duties(at: now, log: { effects.append(.log($0, $1)) }) {
      switch duty {
      case .sayHello: sayHello(&effects)
      case .showLife:
        report(&effects)
        sayWhatFailed(&effects)
      case .giveUp: stop(.silent, &effects)
      }
    }
  }

  private mutating func stop(_ ending: ShardEnding, _ effects: inout [ShardEffect]) {
    if isInSession {
      leave(&effects)
      effects.append(.say(.goodbye, as: contact.sender))
    }
    hasEnded = true
    effects.append(.stop(ending))
  }
}

// MARK: - The coordinator

extension ShardMachine {
  private mutating func receive(
    _ message: CoordinatorMessage, from sender: Sender, _ effects: inout [ShardEffect]
  ) {
    let wasInSession = isInSession
    switch contact.hear(message, from: sender, at: now, log: { effects.append(.log($0, $1)) }) {
    case .stranger: return
    case .followed: break
    case .successor: if wasInSession { greetAnew(&effects) }
    }
    switch message {
    // A welcome comes again when a hello was sent twice.
    case .shardWelcome(let welcome): if !isInSession { join(welcome, &effects) }
    case .assignment(let assignment): take(assignment, &effects)
    case .refusal(let refusal): refused(refusal, wasInSession: wasInSession, &effects)
    case .finished:
      effects.append(.log(.info, "Nothing is left to do here: the run is over, or this shard was drained."))
      stop(.finished, &effects)
    case .welcome, .lease, .grant, .reduction, .evaluate, .cancel, .heartbeat, .status, .memory, .drain: break
    }
  }

  private mutating func join(_ welcome: ShardWelcome, _ effects: inout [ShardEffect]) {
    isInSession = true
    contact.welcomed(at: now)
    if assigner != contact.sender { (assigner, assignment) = (contact.sender, 0) }
    effects.append(.join(welcome, as: contact.sender))
  }

  private mutating func joined(_ effects: inout [ShardEffect]) {
    guard isInSession else { return }
    isJoined = true
    run = contact.sender.run
    effects.append(
      .log(
        .info,
        "Joined the run at \(settings.coordinator), incarnation \(contact.sender.incarnation.number)."))
    report(&effects)
  }

  private mutating func notJoined(_ reason: String, _ effects: inout [ShardEffect]) {
    guard isInSession, !isJoined else { return }
    leave(&effects)
    contact.isNotReady()
    guard now >= complainAt else { return }
    complainAt = now + CoordinationLimits.complaint
    effects.append(.log(.error, "The run cannot be joined yet: \(reason) It is tried again."))
  }

  private mutating func refused(
    _ refusal: Refusal, wasInSession: Bool, _ effects: inout [ShardEffect]
  ) {
    switch refusal.reason {
    case .unknownPeer:
      // Without a session the hello itself was refused, for now: the next one waits its turn.
      guard wasInSession else { return effects.append(.log(.warning, refusal.text)) }
      greetAnew(&effects)
      effects.append(.log(.info, "\(refusal.text) Saying hello again."))
    case .malformed, .tooManyPeers: effects.append(.log(.warning, refusal.text))
    // The other process may be dead already, and the coordinator not know it yet.
    case .duplicateShard where now - begun < Self.duplicatePatience: effects.append(.log(.warning, refusal.text))
    case .duplicateShard, .otherRun, .protocolVersion, .computeClass, .quarantined:
      stop(.turnedAway(reason: refusal.text), &effects)
    }
  }

  private mutating func greetAnew(_ effects: inout [ShardEffect]) {
    leave(&effects)
    contact.isUnknown(at: now)
  }

  private mutating func leave(_ effects: inout [ShardEffect]) {
    guard isInSession else { return }
    (isInSession, isJoined) = (false, false)
    effects.append(.leave)
  }

  /// All that is held is said, and so what changed before; those changes are said again all the same until they were
  /// heard, for the welcome may answer a hello from before them.
  private func sayHello(_ effects: inout [ShardEffect]) {
    let hello = ShardHello(
      protocolVersion: settings.protocolVersion, name: settings.name, shard: settings.shard,
      address: settings.address, capacity: settings.capacity,
      held: held.map { HeldExtent(index: $0, after: $1) }.sorted { $0.index < $1.index },
      changes: firstChange + UInt64(changes.count))
    // Of the run whose rows are here: another one's coordinator has to refuse it.
    let heard = contact.sender
    let sender = Sender(
      run: run ?? RunIdentity(high: 0, low: 0), incarnation: heard.run == run ? heard.incarnation : Incarnation(0),
      peer: settings.peer)
    effects.append(.say(.hello(hello), as: sender))
  }
}
