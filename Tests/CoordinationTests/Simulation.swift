import Coordination
import Messages
import Numerics
import Slices
import TestSupport

/// The real coordinator, checkpoints and workers' machines, over a simulated network, clock and disk, all from one
/// seed.
///
/// Safety is checked after each event: `broken` then says what went wrong. Once faults have stopped the run must finish,
/// or `unfinished` says what is pending.
struct Simulation {
  /// A mistake put into the processes around the state machines, which the checks must find.
  enum PlantedBug {
    /// A payload that came twice is added twice.
    case countsDuplicatePushes
    /// A checkpoint is called durable when its writing begins.
    case reportsCheckpointsEarly
    /// A checkpoint has the step that an update begins, and the weights from before that update.
    case claimsStepsBeforeTheirUpdate
    /// What was said to the coordinator's last life counts in this one.
    case takesResultsOfOlderIncarnations
    /// A manifest has its name before the rows that it names are durable.
    case publishesManifestsBeforeTheirRows
    /// Rows go that the newest checkpoint does not need, though an older one that is kept does.
    case prunesRowsOfKeptCheckpoints
    /// A coordinator that lost its lock goes on writing.
    case ignoresLostLocks
    /// Going back is forgotten: the newest checkpoint is resumed, spoilt as it may be.
    case forgetsToRollBack
    /// That pictures are lost is not stored.
    case forgetsLostPictures
    /// A step that begins again keeps what it had.
    case keepsWhatWasBeforeANewBeginning
    /// The coordinator's own computing bears out whoever says that something is not finite.
    case bearsOutWhatIsNotFinite
    /// A worker takes what an older incarnation says for the word of the one that it follows.
    case heedsOlderIncarnations
  }

  /// What happens at some time.
  enum Happening {
    case toCoordinator(WorkerMessage, Sender)
    case toWorker(CoordinatorMessage, Incarnation, PeerID)
    case push(LeaseID, Digest, Sender)
    /// What the coordinator's bulk socket answers to a push.
    case pushEnded(LeaseID, isTaken: Bool, Incarnation, PeerID)
    case pushUnanswered(Int, life: Int, session: Int, LeaseID)
    /// A connection ends; the worker comes back over another.
    case disconnected(PeerID)
    case workerStarts(Int)
    case workerBeats(Int, life: Int)
    case computed(Int, life: Int, session: Int, LeaseID)
    case coordinatorStarts
    case tick(life: Int)
    case updated(life: Int)
    case written(life: Int, fails: Bool)
    /// What the coordinator's process worked out, unless a step has begun again since.
    case answered(life: Int, restarts: Int, Event)
    case trouble
  }

  /// What a run has on its disk in the end.
  struct Outcome: Equatable {
    let version: VersionIdentity
    let memory: Digest
    /// All rows of the memory that are stored, read back.
    let rows: [Float]
  }

  static let probe = Digest(high: 7, low: 7)
  static let run = RunIdentity(high: 11, low: 13)
  static let second: UInt64 = 1_000_000_000
  /// How far the coordinator's clock is ahead at each start: so that it may be set back.
  static let clockAtStart = 10_000 * second

  let seed: UInt64
  /// Of a calm run that loses the same pictures at the same steps.
  var truth: Truth
  /// By picture that the run lost: the first step without it.
  var lost: [Int: Int] = [:]
  let lastStep: Int
  let checkpointEverySteps: Int
  let bug: PlantedBug?
  var faults: Faults
  var random: SplitMix64
  var queue = EventQueue<UInt64, Happening>()
  private(set) var time: UInt64 = 0
  var workers: [SimulatedWorker] = []
  var coordinator: SimulatedCoordinator
  /// One that lost its lock and does not know it yet; while it acts, the one that has the lock.
  var outlived: SimulatedCoordinator?
  /// The newest checkpoint that was ever reported durable.
  var reportedDurable = -1
  /// As it is on the disk when the run is done.
  var outcome: Outcome?
  /// Hosts of workers that were ever quarantined, by a coordinator that had its lock.
  var found: Set<String> = []
  /// Which worker a peer number belongs to, past lives included.
  var indexOfPeer: [PeerID: Int] = [:]
  /// By worker: nothing gets through to it, from it, or both, until then.
  var cutTo: [UInt64]
  var cutFrom: [UInt64]
  var givenBack: [Int: Int] = [:]
  /// What coordinators that crashed had counted, and what was done to them.
  var past: [String: Int] = [:]
  /// What the coordinator said to peers that are no simulated workers.
  var saidToStrangers: [CoordinatorMessage] = []
  /// The first thing that must not happen and did.
  var broken: String?
  private(set) var events = 0

  init(seed: UInt64, workers count: Int? = nil, faults: Faults, bug: PlantedBug? = nil) {
    var random = SplitMix64(seed: seed)
    self.seed = seed
    self.faults = faults
    self.bug = bug
    // The run follows from the seed; the world it runs in does not change it.
    let slices = 1 + Int(random.next(below: 12))
    lastStep = 4 + Int(random.next(below: 8))
    checkpointEverySteps = 1 + Int(random.next(below: 4))
    truth = Truth(slices: slices, steps: lastStep)
    let rowsPerStep = Truth.rowsPerSlice * slices
    let memorySize = rowsPerStep * (1 + Int(random.next(below: 3))) + Int(random.next(below: UInt64(rowsPerStep)))
    let disk = SimulatedDisk.Settings(
      memorySize: memorySize, keptCheckpoints: 1 + Int(random.next(below: 3)),
      cacheBytes: memorySize * Truth.width * 2 * Int(random.next(below: 3)))
    coordinator = SimulatedCoordinator(
      disk: SimulatedDisk(SimulatedStorage(), disk, bug: bug), version: truth.versions[0], memory: truth.memories[0],
      sum: TreeSum(tree: truth.tree))
    let drawn = 1 + Int(random.next(below: 5))
    for _ in 0..<(count ?? drawn) {
      workers.append(
        SimulatedWorker(
          threads: 1 + Int(random.next(below: 3)), pace: Self.second / 20 * (1 + random.next(below: 30))))
    }
    cutTo = [UInt64](repeating: 0, count: workers.count)
    cutFrom = cutTo
    self.random = random
    nameHosts()
    schedule(.coordinatorStarts, in: random.next(below: Self.second))
    for index in workers.indices { schedule(.workerStarts(index), in: self.random.next(below: Self.second)) }
    schedule(.trouble, in: Self.second)
  }

  /// The command that shows this again.
  var replay: String {
    "MASSL_SEED=\(seed) swift test -c release --disable-testable-imports --filter SimulationTests: "
      + (broken ?? unfinished ?? "finished") + " after \(events) events"
  }

  /// How often each kind of trouble was met, over all lives of the coordinator.
  var seen: [String: Int] {
    var seen = past
    if let machine = coordinator.machine { add(machine, to: &seen) }
    return seen
  }

  func add(_ machine: Coordinator, to seen: inout [String: Int]) {
    for (kind, count) in Mirror(reflecting: machine.status(at: now).counts).children {
      if let kind, let count = count as? Int { seen[kind, default: 0] += count }
    }
  }

  /// The newest step of the coordinator that runs.
  var step: Int { coordinator.machine?.step ?? 0 }

  /// What the coordinator's clock shows.
  var now: Instant { Instant(nanoseconds: time + coordinator.clock) }

  /// Whether the disk has the end of a calm run.
  var isRight: Bool {
    let rows = truth.versions[lastStep].rows
    return outcome
      == Outcome(
        version: truth.versions[lastStep], memory: truth.memories[lastStep],
        rows: truth.rows(coordinator.disk.stored(rows: rows)))
  }

  /// Why the run has not finished; nil when it has.
  var unfinished: String? {
    guard coordinator.stopped != .finished else { return nil }
    if let stopped = coordinator.stopped { return "stopped: \(stopped)" }
    guard let machine = coordinator.machine else { return "the coordinator is down" }
    return "pending: \(machine.status(at: now))"
  }

  mutating func stopFaults() {
    faults = faults.ofWorkers
    coordinator.stoppedUntil = 0
    outlived?.stoppedUntil = 0
    for index in workers.indices {
      workers[index].stoppedUntil = 0
      (cutTo[index], cutFrom[index]) = (0, 0)
    }
  }

  /// Runs until the coordinator's step is `step` or it stopped, something is broken, or so many events are past.
  mutating func run(toStep goal: Int?, eventsAtMost limit: Int) {
    let end = events + limit
    while events < end, broken == nil, coordinator.stopped == nil, goal.map({ step < $0 }) ?? true,
      let (at, happening) = queue.take()
    {
      time = at
      events += 1
      perform(happening)
    }
  }

  mutating func schedule(_ happening: Happening, in delay: UInt64) {
    queue.add(happening, at: time + delay)
  }

  mutating func fail(_ message: String) { if broken == nil { broken = message } }

  mutating func perform(_ happening: Happening) {
    switch happening {
    case .toCoordinator(let message, let sender):
      act(for: life(heardBy: sender), happening) { $0.tell(.message(message, from: $0.heard(sender))) }
    case .push(let lease, let payload, let sender):
      act(for: life(heardBy: sender), happening) { $0.arrive(lease, payload, from: $0.heard(sender)) }
    case .toWorker(let message, let incarnation, let peer):
      guard let index = living(peer, orLater: happening) else { return }
      hear(message, incarnation, index)
    case .pushEnded(let lease, let isTaken, let incarnation, let peer):
      guard let index = living(peer, orLater: happening) else { return }
      if workers[index].machine?.sender.incarnation == incarnation { pushEnded(lease, isTaken: isTaken, index) }
    case .pushUnanswered(let index, let life, let session, let lease):
      guard isRunning(index, life, orLater: happening) else { return }
      pushUnanswered(lease, session, index)
    case .disconnected(let peer):
      act(for: coordinator.life, happening) { $0.tell(.disconnected(peer)) }
      if let index = indexOfPeer[peer], workers[index].peer == peer { tell(.connectionLost, worker: index) }
    case .workerStarts(let index): startWorker(index)
    case .workerBeats(let index, let life):
      guard isRunning(index, life, orLater: happening) else { return }
      beat(index)
    case .computed(let index, let life, let session, let lease):
      guard isRunning(index, life, orLater: happening) else { return }
      computed(lease, session, index)
    case .coordinatorStarts: startCoordinator()
    case .tick(let life):
      act(for: life, happening) { $0.tick(happening) }
    case .updated(let life):
      act(for: life, happening) { $0.update() }
    case .written(let life, let fails):
      act(for: life, happening) { $0.finishCheckpoint(fails: fails) }
    case .answered(let life, let restarts, let event):
      act(for: life, happening) { if $0.coordinator.restarts == restarts { $0.tell(event) } }
    case .trouble:
      makeTrouble()
      schedule(.trouble, in: Self.second)
    }
  }
}
