import Coordination
import Messages
import Numerics
import Slices
import TestSupport

/// The real coordinator, one worker, and the machines of memory shards with disks, over a simulated network and clock, all
/// from one seed.
///
/// A step's result depends on every row that its memory has, read from whoever holds it: from a file of the coordinator's
/// or a shard's disk. Rows are numbers; an extent is right if the chain over its rows ends as it should.
struct ShardSimulation {
  /// A mistake put into the processes around the state machines, which the checks must find.
  enum PlantedBug {
    /// A ledger is called durable when its writing begins.
    case reportsLedgersEarly
    /// A shard says that it has an extent when it begins to copy it.
    case reportsCopiesEarly
    /// A shard takes an assignment for the newest, whenever it comes.
    case heedsOvertakenAssignments
  }

  struct Faults {
    var loss = 0.0
    var duplication = 0.0
    var lateness = 0.0
    /// Of what is late.
    var longestDelay = 8 * second
    /// A second, for each shard.
    var crash = 0.0
    var partition = 0.0
    var slow = 0.0
    /// A second: disks lost and extents damaged, fewer in all than there are replicas.
    var damage = 0.0
    /// A second, for all.
    var coordinatorCrash = 0.0
    var addition = 0.0
    var drain = 0.0
    /// A second, for each shard: its disk has no room for a while, whatever it offers.
    var fullDisk = 0.0

    static let none = Faults()
    static func drawn(from seed: UInt64) -> Faults {
      var random = SplitMix64(seed: ~seed)
      // Some kinds are off, so that others run deep.
      func some(_ highest: Double) -> Double {
        random.chance(0.6) ? highest * Double(random.next(below: 100)) / 100 : 0
      }
      return Faults(
        loss: some(0.2), duplication: some(0.2), lateness: some(0.1), crash: some(0.08), partition: some(0.06),
        slow: some(0.1), damage: some(0.3), coordinatorCrash: some(0.08), addition: some(0.15), drain: some(0.2),
        fullDisk: some(0.05))
    }
  }

  enum Happening {
    case toCoordinator(Event, Incarnation)
    case toWorker(CoordinatorMessage, Incarnation, PeerID)
    case toShard(CoordinatorMessage, Incarnation, PeerID)
    case workerBeats(PeerID)
    case computed(Lease, PeerID)
    case shardStarts(Int)
    case shardBeats(Int, PeerID)
    /// The copy with this number has ended.
    case copied(Int, PeerID, Int)
    case coordinatorStarts
    case tick(Incarnation)
    case updated(Incarnation)
    case checkpointWritten(Incarnation, VersionIdentity)
    case ledgerWritten(Incarnation, UInt64, Ledger)
    case fetched(Incarnation, AssignedExtent)
    case probed(Incarnation, BulkAddress)
    case trouble
  }

  /// The coordinator's run directory.
  struct Disk {
    var rows: [Int: UInt64] = [:]
    var ledger = Ledger()
    /// The newest last.
    var checkpoints: [VersionIdentity] = []
  }

  static let second: UInt64 = 1_000_000_000
  static let run = RunIdentity(high: 3, low: 4)
  static let probe = Digest(high: 7, low: 7)
  static let rowsPerStep = 4
  static let worker = PeerID(rawValue: 1)

  let seed: UInt64
  let memory: MemorySettings
  let lastStep: Int
  let faults: Faults
  let bug: PlantedBug?
  var random: SplitMix64
  var queue = EventQueue<UInt64, Happening>()
  var time: UInt64 = 0
  var events = 0
  var areFaultsOver = false
  var shards: [SimulatedShard] = []
  var indexOfPeer: [PeerID: Int] = [:]
  var disk = Disk()
  var machine: Coordinator?
  var incarnation = Incarnation(0)
  var version: VersionIdentity
  var chain: [Digest] = [Digest(high: 0, low: 0)]
  var results: [LeaseID: Digest] = [:]
  var accepted: Digest?
  var workerIsWelcome = false
  /// It said goodbye.
  var workerIsGone = false
  var damages = 0
  /// Extents that a shard is counted on for and does not have, since when: it says so soon, or nobody knows.
  var wronglyCounted: [ShardID: [Int: UInt64]] = [:]
  var stopped: StopReason?
  var broken: String?
  var finalVersion: VersionIdentity?
  /// How often something happened.
  var seen: [String: Int] = [:]

  init(seed: UInt64, replicas: Int, shards count: Int, faults: Faults, bug: PlantedBug? = nil) {
    var random = SplitMix64(seed: seed)
    self.seed = seed
    self.faults = faults
    self.bug = bug
    let rowsPerExtent = 2 + Int(random.next(below: 6))
    memory = MemorySettings(
      size: rowsPerExtent * (2 + Int(random.next(below: 6))), rowsPerExtent: rowsPerExtent, extentBytes: 100,
      replicas: replicas, rowsPerStep: Self.rowsPerStep)
    lastStep = 12 + Int(random.next(below: 12))
    version = VersionIdentity(step: 0, student: Digest(high: 1, low: 2), teacher: Self.probe, rows: 0, memoryFloor: 0)
    self.random = random
    disk.checkpoints = [version]
    for _ in 0..<count { addShard() }
    schedule(.coordinatorStarts, in: 0)
    schedule(.trouble, in: Self.second)
  }

  var replay: String {
    "seed \(seed), \(memory.replicas) replicas: " + (broken ?? unfinished ?? "finished") + " after \(events) events"
  }

  var unfinished: String? {
    guard stopped != .finished else { return nil }
    if let stopped { return "stopped: \(stopped)" }
    guard let machine else { return "the coordinator is down" }
    return "pending: step \(machine.step), \(machine.memoryStatus(at: now).map { "\($0)" } ?? "")"
  }

  var now: Instant { Instant(nanoseconds: time + 1) }

  mutating func stopFaults() {
    areFaultsOver = true
    for index in shards.indices {
      (shards[index].cutUntil, shards[index].slowUntil, shards[index].fullUntil) = (0, 0, 0)
    }
  }

  mutating func run(toStep goal: Int? = nil, eventsAtMost limit: Int) {
    let end = events + limit
    while events < end, broken == nil, stopped == nil, goal.map({ version.step < $0 }) ?? true,
      let (at, happening) = queue.take()
    {
      time = at
      events += 1
      perform(happening)
      checkThatNothingIsLost()
    }
  }

  mutating func schedule(_ happening: Happening, in delay: UInt64) { queue.add(happening, at: time + delay) }
  mutating func fail(_ message: String) { if broken == nil { broken = message } }
  mutating func note(_ kind: String) { seen[kind, default: 0] += 1 }
  var isCalm: Bool { areFaultsOver }

  mutating func perform(_ happening: Happening) {
    switch happening {
    case .toCoordinator(let event, let life): if life == incarnation { tell(event) }
    case .toWorker(let message, let life, let peer):
      if life == incarnation, peer.rawValue == life.number { worker(hears: message, as: peer) }
    case .toShard(let message, let life, let peer):
      guard let index = indexOfPeer[peer], shards[index].isUp, shards[index].peer == peer else { return }
      shard(index, hears: message, of: life)
    case .workerBeats(let peer):
      guard peer.rawValue == incarnation.number, machine != nil, !workerIsGone else { return }
      schedule(happening, in: Self.second)
      workerBeats(peer)
    case .computed(let lease, let peer):
      if peer.rawValue == incarnation.number, machine != nil { compute(lease, peer) }
    case .shardStarts(let index): startShard(index)
    case .shardBeats(let index, let peer):
      guard shards[index].isUp, shards[index].peer == peer else { return }
      schedule(happening, in: Self.second)
      tell(.tick, shard: index)
    case .copied(let index, let peer, let number):
      guard shards[index].isUp, shards[index].peer == peer else { return }
      copied(index, number)
    case .coordinatorStarts: startCoordinator()
    case .tick(let life):
      guard life == incarnation, machine != nil else { return }
      schedule(happening, in: Self.second / 10)
      tell(.tick)
    case .updated(let life): if life == incarnation, machine != nil { update() }
    case .checkpointWritten(let life, let version):
      if life == incarnation, machine != nil { finishCheckpoint(version) }
    case .ledgerWritten(let life, let number, let ledger):
      guard life == incarnation, machine != nil else { return }
      disk.ledger = ledger
      if bug != .reportsLedgersEarly { tell(.ledgerWritten(number: number, failure: nil)) }
    case .probed(let life, let address):
      guard life == incarnation, machine != nil else { return }
      let isThere = shards.contains { $0.isUp && $0.cutUntil <= time && $0.address == address }
      if !isThere { note("failedProbes") }
      tell(.probed(address, failure: isThere ? nil : "no answer"))
    case .fetched(let life, let assigned): if life == incarnation, machine != nil { fetch(assigned) }
    case .trouble:
      schedule(.trouble, in: Self.second)
      checkThatShardsHaveWhatCounts()
      if !isCalm { makeTrouble() }
    }
  }
}
