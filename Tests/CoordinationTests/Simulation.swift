import Coordination
import MemoryBank
import Messages
import Numerics
import Slices
import TestSupport

/// The one simulated world: the real coordinator, workers and memory shards, over a simulated network, clock and disks, all
/// from one seed.
///
/// State machines, checkpoints and stores of rows are those of the real processes. What is around them is simulated: lines
/// that lose, double and delay; disks that lose in a power cut what was not fsynced; processes that die, hang, lose their
/// lock or lie; and threads, whose work only takes time. A world may have no memory shards: then its memory is the
/// coordinator's alone.
///
/// Safety is checked after each event: `broken` then says what went wrong. Nothing counts twice or for another incarnation,
/// every step and checkpoint has the bits of a calm run (`Truth`), rows that are read anywhere are those that were written,
/// every row that a kept checkpoint needs is on a disk that a start would look at, and no shard removes what it counts for.
/// Once faults have stopped every extent gets its replicas (`awaitReplicas`), and the run must finish, or `unfinished` says
/// what is pending.
struct Simulation {
  /// What happens at some time. Indirect: a happening is moved through the queue and handed on several times.
  indirect enum Happening {
    case toCoordinator(WorkerMessage, Sender)
    case fromShard(ShardMessage, Sender)
    case toPeer(CoordinatorMessage, Incarnation, PeerID)
    case push(LeaseID, Digest, Sender)
    /// What the coordinator's bulk socket answers to a push.
    case pushEnded(LeaseID, isTaken: Bool, Incarnation, PeerID)
    case pushUnanswered(Int, life: Int, session: Int, LeaseID)
    /// A connection ends; its peer comes back over another.
    case disconnected(PeerID)
    case starts(Party)
    case beats(Party, life: Int)
    case computed(Int, life: Int, session: Int, LeaseID)
    /// A shard's copy with this number has come to its end.
    case copied(Int, life: Int, number: Int)
    /// A worker has judged a teacher.
    case evaluated(Int, life: Int, session: Int, Evaluate)
    /// A worker has added up the first of these chunks, or the coordinator has.
    case addsUp(Int, life: Int, session: Int, Reduction)
    case addsUpItself(life: Int, restarts: Int, Reduction)
    case sum(Digest, chunk: Int, deal: UInt64, isFinite: Bool, Sender)
    /// What became of an extent is told to a shard's machine, in whatever session it is by then.
    case extentEnded(Int, life: Int, ExtentProgress)
    case coordinatorStarts
    case tick(life: Int)
    case updated(life: Int)
    case written(life: Int, fails: Bool)
    /// The coordinator's thread for extents has done what it was to do next.
    case extentsWorkedOn(life: Int)
    case extentFetched(life: Int, AssignedExtent)
    case probed(life: Int, BulkAddress)
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

  /// Since when an extent is counted on, by the world's clock and as the coordinator's machine knows it.
  struct WronglyCounted {
    let time: UInt64
    let known: Instant
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
  let shape: Shape
  let bug: PlantedBug?
  var faults: Faults
  var random: SplitMix64
  var queue = EventQueue<UInt64, Happening>()
  private(set) var time: UInt64 = 0
  var workers: [SimulatedWorker] = []
  var shards: [SimulatedShard] = []
  /// Of the run's extents, once a coordinator has opened its directory.
  var layout: ExtentLayout?
  /// Nil: the memory is the coordinator's alone.
  let memory: MemorySettings?
  var coordinator: SimulatedCoordinator
  /// One that lost its lock and does not know it yet; while it acts, the one that has the lock.
  var outlived: SimulatedCoordinator?
  /// The newest checkpoint that was ever reported durable.
  var reportedDurable = -1
  /// As it is on the disk when the run is done.
  var outcome: Outcome?
  /// Hosts of workers that were ever quarantined, by a coordinator that had its lock.
  var found: Set<String> = []
  /// Who has or had this number.
  var partyOfPeer: [PeerID: Party] = [:]
  /// Disks of shards that were lost, and extents that were damaged: fewer than there are replicas.
  var damages = 0
  /// Extents that a shard is counted on for and does not have, since when: it says so soon, or nobody knows.
  var wronglyCounted: [ShardID: [Int: WronglyCounted]] = [:]
  /// Every worker is a host of its own that others reach, and steps are reduced wherever they can be.
  let exchanges: Bool
  /// Every second step is evaluated.
  let evaluates: Bool
  /// Steps whose evaluations are on the disk.
  var evaluatedSteps: [Int] = []
  /// Updates wait, and so does everything that follows from a step.
  var holdsUpdates = false
  var givenBack: [Int: Int] = [:]
  /// What coordinators that crashed had counted, and what was done to them.
  var past: [String: Int] = [:]
  /// What the coordinator said to peers that are no simulated workers.
  var saidToStrangers: [CoordinatorMessage] = []
  /// The first thing that must not happen and did.
  var broken: String?
  private(set) var events = 0

  /// - Parameters:
  ///   - workers: as many as the seed says, unless given.
  ///   - shards: memory shards; 0: the memory is the coordinator's alone.
  ///   - replicas: shards that are to hold each extent.
  ///   - exchanges: every worker is a host of its own that others reach, and steps are reduced wherever they can be.
  ///   - evaluates: every second step is evaluated.
  init(
    seed: UInt64, workers count: Int? = nil, shards: Int = 0, replicas: Int = 1, exchanges: Bool = false,
    evaluates: Bool = false, faults: Faults, bug: PlantedBug? = nil
  ) {
    var random = SplitMix64(seed: seed)
    self.seed = seed
    self.faults = faults
    self.bug = bug
    self.exchanges = exchanges
    self.evaluates = evaluates
    // The run follows from the seed; the world it runs in does not change it.
    let drawn = Shape(&random)
    shape = shards > 0 ? Shape(withShards: seed, keptCheckpoints: drawn.disk.keptCheckpoints) : drawn
    truth = Truth(slices: shape.slices, steps: shape.lastStep)
    let storage = SimulatedStorage()
    coordinator = SimulatedCoordinator(
      disk: SimulatedDisk(storage, shape.disk, bug: bug), version: truth.versions[0], memory: truth.memories[0],
      sum: TreeSum(tree: truth.tree))
    memory = shards > 0 ? shape.memory(replicas: replicas) : nil
    let workersDrawn = 1 + Int(random.next(below: 5))
    for _ in 0..<(count ?? workersDrawn) {
      workers.append(
        SimulatedWorker(
          threads: 1 + Int(random.next(below: 3)), pace: Self.second / 20 * (1 + random.next(below: 30))))
    }
    self.random = random
    nameHosts()
    schedule(.coordinatorStarts, in: random.next(below: Self.second))
    for index in workers.indices { schedule(.starts(.worker(index)), in: self.random.next(below: Self.second)) }
    schedule(.trouble, in: Self.second)
    for _ in 0..<shards { addShard() }
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
    seen["moves", default: 0] += machine.memoryStatus(at: now)?.movesMade ?? 0
  }

  var lastStep: Int { shape.lastStep }

  mutating func note(_ kind: String) { past[kind, default: 0] += 1 }

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

  /// What is stopped now goes on by itself within a minute.
  mutating func stopFaults() {
    faults = faults.ofWorkers
    for party in parties { (self[party].cutTo, self[party].cutFrom) = (0, 0) }
    for index in shards.indices { (shards[index].slowUntil, shards[index].fullUntil) = (0, 0) }
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

  /// Runs until the step before the last, or so many events are past, and then without the world's faults to the end.
  mutating func runToTheEnd(withFaultsFor limit: Int) {
    run(toStep: lastStep - 1, eventsAtMost: limit)
    stopFaults()
    run(toStep: nil, eventsAtMost: 60_000)
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
    case .fromShard(let message, let sender):
      act(for: life(heardBy: sender), happening) { $0.tell(.shardMessage(message, from: sender)) }
    case .toPeer(let message, let incarnation, let peer):
      guard let party = living(peer, orLater: happening) else { return }
      hear(message, incarnation, party)
    case .pushEnded(let lease, let isTaken, let incarnation, let peer):
      guard case .worker(let index)? = living(peer, orLater: happening) else { return }
      if workers[index].machine?.sender.incarnation == incarnation { pushEnded(lease, isTaken: isTaken, index) }
    case .pushUnanswered(let index, let life, let session, let lease):
      guard isRunning(.worker(index), life, orLater: happening) else { return }
      pushUnanswered(lease, session, index)
    case .disconnected(let peer):
      act(for: coordinator.life, happening) { $0.tell(.disconnected(peer)) }
      if let party = partyOfPeer[peer], self[party].peer == peer { connectionLost(party) }
    case .starts(let party): start(party)
    case .beats(let party, let life):
      guard isRunning(party, life, orLater: happening) else { return }
      beat(party)
    case .computed(let index, let life, let session, let lease):
      guard isRunning(.worker(index), life, orLater: happening) else { return }
      computed(lease, session, index)
    case .evaluated(let index, let life, let session, let evaluate):
      guard isRunning(.worker(index), life, orLater: happening) else { return }
      evaluated(evaluate, session, index)
    case .addsUp(let index, let life, let session, let reduction):
      guard isRunning(.worker(index), life, orLater: happening) else { return }
      addUp(reduction, session, index)
    case .addsUpItself(let life, let restarts, let reduction):
      act(for: life, happening) { if $0.coordinator.restarts == restarts { $0.addUp(reduction) } }
    case .sum(let sum, let chunk, let deal, let isFinite, let sender):
      act(for: life(heardBy: sender), happening) {
        $0.arrive(sum, of: chunk, deal: deal, isFinite: isFinite, from: $0.heard(sender))
      }
    case .copied(let index, let life, let number):
      guard isRunning(.shard(index), life, orLater: happening) else { return }
      copied(number, index)
    case .extentEnded(let index, let life, let progress):
      guard isRunning(.shard(index), life, orLater: happening) else { return }
      extentEnded(progress, index)
    case .coordinatorStarts: startCoordinator()
    case .tick(let life):
      act(for: life, happening) { $0.tick(happening) }
    case .updated(let life):
      act(for: life, happening) { $0.update() }
    case .written(let life, let fails):
      act(for: life, happening) { $0.finishCheckpoint(fails: fails) }
    case .answered(let life, let restarts, let event):
      act(for: life, happening) { if $0.coordinator.restarts == restarts { $0.tell(event) } }
    case .extentsWorkedOn(let life):
      act(for: life, happening) { $0.workOnExtents() }
    case .extentFetched(let life, let assigned):
      act(for: life, happening) { $0.fetch(assigned) }
    case .probed(let life, let address): act(for: life, happening) { $0.probe(address) }
    case .trouble:
      checkTheMemory()
      makeTrouble()
      schedule(.trouble, in: Self.second)
    }
  }
}
