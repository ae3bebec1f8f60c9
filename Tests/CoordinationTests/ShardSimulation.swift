import Coordination
import Messages
import Numerics
import Slices
import TestSupport

/// The real coordinator, one worker, and memory shards with disks, over a simulated network and clock, all from one seed.
///
/// A step's result depends on every row that its memory has, read from whoever holds it: from a file of the coordinator's
/// or a shard's disk. Rows are numbers; an extent is right if the chain over its rows ends as it should.
struct ShardSimulation {
  /// A mistake put into the processes around the state machine, which the checks must find.
  enum PlantedBug {
    /// A ledger is called durable when its writing begins.
    case reportsLedgersEarly
    /// A shard says that it has an extent when it begins to pull it.
    case reportsCopiesEarly
  }

  struct Faults {
    var loss = 0.0
    var duplication = 0.0
    var lateness = 0.0
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

    static let none = Faults()
    static func drawn(from seed: UInt64) -> Faults {
      var random = SplitMix64(seed: ~seed)
      // Some kinds are off, so that others run deep.
      func some(_ highest: Double) -> Double {
        random.chance(0.6) ? highest * Double(random.next(below: 100)) / 100 : 0
      }
      return Faults(
        loss: some(0.2), duplication: some(0.2), lateness: some(0.1), crash: some(0.08), partition: some(0.06),
        slow: some(0.1), damage: some(0.3), coordinatorCrash: some(0.08), addition: some(0.15), drain: some(0.2))
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
    case copied(Int, PeerID, AssignedExtent)
    case coordinatorStarts
    case tick(Incarnation)
    case updated(Incarnation)
    case checkpointWritten(Incarnation, VersionIdentity)
    case ledgerWritten(Incarnation, UInt64, Ledger)
    case fetched(Incarnation, AssignedExtent)
    case probed(Incarnation, ShardID, ShardAddress)
    case trouble
  }

  struct Shard {
    let id: ShardID
    let host: String
    let capacity: Int
    /// Its address: a shard with an empty directory may take over that of one whose disk is lost.
    let place: UInt64
    var disk: [Int: [UInt64]] = [:]
    var changes: [ExtentChange] = []
    var acknowledged = 0
    /// The newest assignment that it heard of this incarnation.
    var assignment: UInt64 = 0
    var isUp = false
    /// Drained, or its disk is lost: it never comes back.
    var isGone = false
    var peer = PeerID(rawValue: 0)
    var incarnation = Incarnation(0)
    var isWelcome = false
    var heard: UInt64 = 0
    var copying: Set<Int> = []
    var cutUntil: UInt64 = 0
    var slowUntil: UInt64 = 0
    var problem = ""
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
  private static let worker = PeerID(rawValue: 1)

  let seed: UInt64
  let memory: MemorySettings
  let lastStep: Int
  let faults: Faults
  let bug: PlantedBug?
  private var random: SplitMix64
  private var queue = EventQueue<Happening>()
  private(set) var time: UInt64 = 0
  private(set) var events = 0
  private var areFaultsOver = false
  private(set) var shards: [Shard] = []
  private var indexOfPeer: [PeerID: Int] = [:]
  private var disk = Disk()
  private var machine: Coordinator?
  private var incarnation = Incarnation(0)
  private var version: VersionIdentity
  private var chain: [Digest] = [Digest(high: 0, low: 0)]
  private var results: [LeaseID: Digest] = [:]
  private var accepted: Digest?
  private var workerIsWelcome = false
  /// It said goodbye.
  private var workerIsGone = false
  private var damages = 0
  private(set) var stopped: StopReason?
  private(set) var broken: String?
  private(set) var finalVersion: VersionIdentity?
  /// How often something happened.
  private(set) var seen: [String: Int] = [:]

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

  private var now: Instant { Instant(nanoseconds: time + 1) }

  mutating func stopFaults() {
    areFaultsOver = true
    for index in shards.indices { (shards[index].cutUntil, shards[index].slowUntil) = (0, 0) }
  }

  mutating func run(toStep goal: Int? = nil, eventsAtMost limit: Int) {
    let end = events + limit
    while events < end, broken == nil, stopped == nil, goal.map({ version.step < $0 }) ?? true,
      let (at, happening) = queue.pop()
    {
      time = at
      events += 1
      perform(happening)
      checkThatNothingIsLost()
    }
  }

  private mutating func schedule(_ happening: Happening, in delay: UInt64) { queue.push(happening, at: time + delay) }
  private mutating func fail(_ message: String) { if broken == nil { broken = message } }
  private mutating func note(_ kind: String) { seen[kind, default: 0] += 1 }
  private var isCalm: Bool { areFaultsOver }

  private mutating func perform(_ happening: Happening) {
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
      beat(index)
    case .copied(let index, let peer, let assigned):
      guard shards[index].isUp, shards[index].peer == peer else { return }
      finishCopy(index, assigned)
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
    case .probed(let life, let id, let address):
      guard life == incarnation, machine != nil else { return }
      let isThere = shards.contains { $0.isUp && $0.cutUntil <= time && Self.address(of: $0) == address }
      if !isThere { note("failedProbes") }
      tell(.shardProbed(id, address, failure: isThere ? nil : "no answer"))
    case .fetched(let life, let assigned): if life == incarnation, machine != nil { fetch(assigned) }
    case .trouble:
      schedule(.trouble, in: Self.second)
      if !isCalm { makeTrouble() }
    }
  }
}

// MARK: - Rows

extension ShardSimulation {
  private static func mixed(_ digest: Digest, _ number: UInt64) -> Digest {
    let low = SplitMix64.mixed(digest.low ^ SplitMix64.mixed(number))
    return Digest(high: SplitMix64.mixed(digest.high ^ low), low: low | 1)
  }

  private func rows(of extent: Int) -> Range<Int> {
    extent * memory.rowsPerExtent..<(extent + 1) * memory.rowsPerExtent
  }

  private static func isRight(_ rows: [UInt64], _ extent: ExtentIdentity) -> Bool {
    rows.reduce(extent.before) { mixed($0, $1) } == extent.after
  }

  private func after(_ rows: [UInt64], _ extent: Int) -> UInt64 {
    // What its header would say; the chain so far is the same in all lives of a run.
    rows.reduce(chain[min(self.rows(of: extent).lowerBound, chain.count - 1)]) { Self.mixed($0, $1) }.low
  }

  private func local(_ extent: Int) -> [UInt64]? {
    let rows = rows(of: extent).compactMap { disk.rows[$0] }
    return rows.count == memory.rowsPerExtent ? rows : nil
  }

  private var window: Range<Int> { max(0, version.rows - memory.size)..<version.rows }

  /// Every sealed extent of the step's memory is on some disk that is not lost.
  private mutating func checkThatNothingIsLost() {
    guard machine != nil, !window.isEmpty else { return }
    for extent in window.lowerBound / memory.rowsPerExtent...(window.upperBound - 1) / memory.rowsPerExtent {
      guard rows(of: extent).upperBound <= version.rows, local(extent) == nil else { continue }
      if !shards.contains(where: { !$0.isGone && $0.disk[extent] != nil }) { fail("extent \(extent) is on no disk") }
    }
  }
}

// MARK: - The worker

extension ShardSimulation {
  private func sender(_ peer: PeerID) -> Sender { Sender(run: Self.run, incarnation: incarnation, peer: peer) }

  private mutating func say(_ message: WorkerMessage, _ peer: PeerID) {
    schedule(.toCoordinator(.message(message, from: sender(peer)), incarnation), in: 1_000_000)
  }

  private mutating func workerBeats(_ peer: PeerID) {
    guard !workerIsGone else { return }
    guard workerIsWelcome else {
      return say(.hello(Hello(protocolVersion: 1, name: "worker", threads: 1, probe: Self.probe)), peer)
    }
    say(.ready(Ready(idleThreads: results.isEmpty ? 1 : 0, held: results.keys.sorted())), peer)
  }

  private mutating func worker(hears message: CoordinatorMessage, as peer: PeerID) {
    switch message {
    case .welcome:
      workerIsWelcome = true
      say(.ready(Ready(idleThreads: 1, held: [])), peer)
    case .lease(let lease):
      results[lease.lease] = Self.probe
      schedule(.computed(lease, peer), in: Self.second / 10 + random.next(below: Self.second))
    case .grant(let lease): schedule(.toCoordinator(.pushArrived(lease, .whole), incarnation), in: 1_000_000)
    case .cancel(let lease): results[lease] = nil
    case .refusal(let refusal): fail("the worker was refused: \(refusal.text)")
    case .finished:
      workerIsGone = true
      say(.goodbye, peer)
    case .heartbeat, .status, .shardWelcome, .assignment, .memory, .drain: break
    }
  }

  /// Reads every row of the step's memory from whoever the table names.
  private mutating func compute(_ lease: Lease, _ peer: PeerID) {
    var result = Self.mixed(version.student, UInt64(lease.step))
    for row in max(0, lease.rows - memory.size)..<lease.rows {
      guard let content = read(row) else {
        note("waits")
        results[lease.lease] = nil
        return say(.returned(Returned(lease: lease.lease, reason: "row \(row) is away", isPassing: true)), peer)
      }
      result = Self.mixed(result, content)
    }
    results[lease.lease] = result
    say(
      .finished(
        Finished(
          lease: lease.lease, step: lease.step, slices: lease.slices, payload: result, payloadCount: 2,
          losses: [SliceLoss(consistency: 1, koleo: 0, targetEntropy: 1)], undecodable: [])), peer)
  }

  private mutating func read(_ row: Int) -> UInt64? {
    guard let machine else { return nil }
    let extent = row / memory.rowsPerExtent
    let table = machine.holders(first: extent, count: 1)
    let holders = table.holders.first ?? []
    guard !holders.isEmpty else { return disk.rows[row] }
    for holder in holders {
      guard let index = shards.firstIndex(where: { !$0.isGone && Self.address(of: $0) == table.shards[holder] })
      else { continue }
      let shard = shards[index]
      // Another one may be there by now, which has other extents.
      guard shard.isUp, shard.cutUntil <= time, let rows = shard.disk[extent] else { continue }
      let content = rows[row - self.rows(of: extent).lowerBound]
      if Self.mixed(chain[row], content) != chain[row + 1] { fail("row \(row) is another one on \(shard.id)") }
      return content
    }
    return nil
  }
}

// MARK: - Shards

extension ShardSimulation {
  static func address(of shard: Shard) -> ShardAddress {
    ShardAddress(endpoint: (try? Endpoint("tcp://\(shard.host).\(shard.place):7"))!)
  }

  /// - Parameter former: one whose place it takes.
  mutating func addShard(inPlaceOf former: Shard? = nil) {
    // Two a host; sometimes too small for all.
    shards.append(
      Shard(
        id: ShardID(high: 9, low: UInt64(shards.count)), host: former?.host ?? "host\(shards.count / 2)",
        capacity: memory.extentBytes * (3 + Int(random.next(below: 20))), place: former?.place ?? UInt64(shards.count)))
    schedule(.shardStarts(shards.count - 1), in: random.next(below: Self.second))
  }

  private mutating func startShard(_ index: Int) {
    guard !shards[index].isGone, !shards[index].isUp else { return }
    let peer = PeerID(rawValue: random.next() | 1 << 63)
    indexOfPeer[peer] = index
    shards[index].isUp = true
    shards[index].peer = peer
    shards[index].isWelcome = false
    shards[index].incarnation = Incarnation(0)
    shards[index].assignment = 0
    (shards[index].changes, shards[index].acknowledged) = ([], 0)
    shards[index].copying = []
    shards[index].heard = time
    schedule(.shardBeats(index, peer), in: 0)
  }

  private mutating func crashShard(_ index: Int) {
    guard shards[index].isUp else { return }
    note("shardCrashes")
    shards[index].isUp = false
    schedule(.shardStarts(index), in: random.next(below: random.chance(0.3) ? 60 * Self.second : 5 * Self.second))
  }

  private mutating func say(_ message: ShardMessage, _ index: Int) {
    let shard = shards[index]
    let isKnown = shard.incarnation.number > 0
    let sender = Sender(
      run: isKnown ? Self.run : RunIdentity(high: 0, low: 0), incarnation: shard.incarnation, peer: shard.peer)
    transmit(.toCoordinator(.shardMessage(message, from: sender), incarnation), index)
  }

  private mutating func transmit(_ happening: Happening, _ index: Int) {
    guard shards[index].cutUntil <= time else { return }
    if !isCalm, random.chance(faults.loss) { return note("losses") }
    for _ in 0..<(!isCalm && random.chance(faults.duplication) ? 2 : 1) {
      var flight = 100_000 + random.next(below: 5_000_000)
      if !isCalm, random.chance(faults.lateness) { flight += random.next(below: 8 * Self.second) }
      schedule(happening, in: flight)
    }
  }

  private mutating func beat(_ index: Int) {
    if time - shards[index].heard > 4 * Self.second { shards[index].isWelcome = false }
    let shard = shards[index]
    if shard.isWelcome {
      say(
        .report(
          ShardReport(
            first: UInt64(shard.acknowledged), changes: Array(shard.changes[shard.acknowledged...].prefix(3)),
            used: shard.disk.count * memory.extentBytes, capacity: shard.capacity, servedRows: 0, assignment: 0,
            problem: shard.problem)), index)
    } else {
      say(
        .hello(
          ShardHello(
            protocolVersion: 1, name: shard.host, shard: shard.id, address: Self.address(of: shard),
            capacity: shard.capacity,
            held: shard.disk.keys.sorted().map { HeldExtent(index: $0, after: after(shard.disk[$0]!, $0)) },
            changes: UInt64(shard.changes.count))), index)
    }
  }

  private mutating func shard(_ index: Int, hears message: CoordinatorMessage, of life: Incarnation) {
    guard life >= shards[index].incarnation else { return }
    if life > shards[index].incarnation {
      shards[index].incarnation = life
      shards[index].isWelcome = false
      shards[index].assignment = 0
    }
    shards[index].heard = time
    switch message {
    case .shardWelcome:
      shards[index].isWelcome = true
    // Said again where a welcome came twice: they are heard at most once.
    case .refusal: shards[index].isWelcome = false
    case .assignment(let assignment):
      guard assignment.number >= shards[index].assignment else { return note("lateAssignments") }
      shards[index].isWelcome = true
      shards[index].assignment = assignment.number
      shards[index].acknowledged = min(
        shards[index].changes.count, max(shards[index].acknowledged, Int(clamping: assignment.heard)))
      for extent in assignment.removed where shards[index].disk.removeValue(forKey: extent) != nil {
        note("removals")
        shards[index].changes.append(.removed(extent))
      }
      for assigned in assignment.extents { beginCopy(index, assigned) }
    case .finished:
      say(.goodbye, index)
      shards[index].isUp = false
      if version.step < lastStep {
        note("drained")
        shards[index].isGone = true
      } else {
        // The run is over, unless the coordinator falls back to a checkpoint: then somebody starts them again.
        schedule(.shardStarts(index), in: 10 * Self.second)
      }
    default: break
    }
  }

  private mutating func beginCopy(_ index: Int, _ assigned: AssignedExtent) {
    let extent = assigned.extent.index
    guard shards[index].disk[extent] == nil, shards[index].copying.insert(extent).inserted else { return }
    if bug == .reportsCopiesEarly {
      shards[index].changes.append(.held(HeldExtent(index: extent, after: assigned.extent.after.low)))
    }
    let longest = (shards[index].slowUntil > time ? 40 : 2) * Self.second
    schedule(.copied(index, shards[index].peer, assigned), in: random.next(below: longest))
  }

  private func copy(_ assigned: AssignedExtent) -> [UInt64]? {
    for source in assigned.sources {
      switch source {
      case .coordinator:
        if machine != nil, let rows = local(assigned.extent.index), Self.isRight(rows, assigned.extent) { return rows }
      case .shard(let address):
        guard let shard = shards.first(where: { !$0.isGone && Self.address(of: $0) == address }), shard.isUp,
          shard.cutUntil <= time,
          let rows = shard.disk[assigned.extent.index], Self.isRight(rows, assigned.extent)
        else { continue }
        return rows
      }
    }
    return nil
  }

  private mutating func finishCopy(_ index: Int, _ assigned: AssignedExtent) {
    let extent = assigned.extent.index
    shards[index].copying.remove(extent)
    guard shards[index].cutUntil <= time, let rows = copy(assigned) else { return note("failedCopies") }
    note("copies")
    shards[index].disk[extent] = rows
    if bug != .reportsCopiesEarly {
      shards[index].changes.append(.held(HeldExtent(index: extent, after: assigned.extent.after.low)))
    }
    if shards[index].isWelcome { beat(index) }
  }
}

// MARK: - The coordinator

extension ShardSimulation {
  private mutating func startCoordinator() {
    incarnation = Incarnation(incarnation.number + 1)
    // The newest checkpoint may be the damaged one.
    if disk.checkpoints.count > 1, !isCalm, random.chance(0.5) {
      note("olderCheckpoints")
      disk.checkpoints.removeLast()
    }
    version = disk.checkpoints[disk.checkpoints.count - 1]
    let rows = version.rows
    chain = Array(chain.prefix(rows + 1))
    disk.rows = disk.rows.filter { $0.key < rows }
    (results, accepted, workerIsWelcome, workerIsGone) = ([:], nil, false, false)
    let oldest = max(0, disk.checkpoints[0].rows - memory.size)
    disk.ledger.entries = disk.ledger.entries.filter {
      let end = self.rows(of: $0.extent.index).upperBound
      return end <= rows && end > oldest
    }
    let known = Set(disk.ledger.entries.filter { !$0.holders.isEmpty }.map(\.extent.index))
    for row in window where disk.rows[row] == nil && !known.contains(row / memory.rowsPerExtent) {
      return fail("row \(row) of \(rows) is in no file, and the ledger names nobody")
    }
    let settings = CoordinatorSettings(
      run: Self.run, incarnation: incarnation, protocolVersion: 1, probe: Self.probe,
      welcome: Welcome(
        configuration: "", bulkPort: 9, data: DataIdentity(count: 10, digest: Self.probe), rows: rows),
      slices: 1, lastStep: lastStep, gradientCount: 1, floatsPerSlice: 1, checkpointEverySteps: 3, memory: memory,
      pictureName: { "\($0)" }, pictures: { _, _ in [] })
    machine = Coordinator(
      settings, resuming: version, durableStep: version.step == 0 && rows == 0 ? nil : version.step,
      memory: ResumedMemory(
        ledger: disk.ledger, local: Set(disk.ledger.entries.map(\.extent.index).filter { local($0) != nil }),
        oldestRow: oldest, settledRows: disk.checkpoints[0].rows), at: now)
    schedule(.tick(incarnation), in: 0)
    schedule(.workerBeats(PeerID(rawValue: incarnation.number)), in: 0)
  }

  private mutating func crashCoordinator() {
    guard let before = machine else { return }
    note("crashes")
    for _ in 0..<(before.memoryStatus(at: now)?.movesMade ?? 0) { note("moves") }
    machine = nil
    // What was not flushed with a checkpoint is lost; more is a matter of luck.
    let flushed = disk.checkpoints[disk.checkpoints.count - 1].rows
    disk.rows = disk.rows.filter { $0.key < flushed }
    schedule(.coordinatorStarts, in: random.next(below: 5 * Self.second))
  }

  private mutating func tell(_ event: Event) {
    guard machine != nil, stopped == nil else { return }
    let effects = machine!.handle(event, at: now)
    do { try machine!.checkInvariants() } catch { fail("\(error)") }
    for effect in effects { carryOut(effect) }
  }

  private mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(let message, let peer):
      guard let index = indexOfPeer[peer] else {
        return schedule(.toWorker(message, incarnation, peer), in: 1_000_000)
      }
      transmit(.toShard(message, incarnation, peer), index)
    case .accept(let lease, _): accepted = results.removeValue(forKey: lease)
    case .startUpdate: schedule(.updated(incarnation), in: 10_000_000)
    case .writeCheckpoint:
      schedule(.checkpointWritten(incarnation, version), in: random.next(below: 2 * Self.second))
    case .writeLedger(let number, let ledger):
      let longest = bug == .reportsLedgersEarly ? 10 : 1
      schedule(.ledgerWritten(incarnation, number, ledger), in: random.next(below: UInt64(longest) * Self.second))
      if bug == .reportsLedgersEarly {
        schedule(.toCoordinator(.ledgerWritten(number: number, failure: nil), incarnation), in: 0)
      }
    case .releaseExtents(let extents):
      for extent in extents {
        note("releases")
        for row in rows(of: extent) { disk.rows[row] = nil }
      }
    case .probeShard(let id, let address):
      schedule(.probed(incarnation, id, address), in: random.next(below: Self.second))
    case .fetchExtent(let assigned):
      schedule(.fetched(incarnation, assigned), in: random.next(below: 2 * Self.second))
    case .raiseFloor: fail("a floor was raised")
    case .stop(let reason):
      stopped = reason
      if reason == .finished { finalVersion = version }
    case .sendStatus, .sendMemory, .expectPush, .abandonPush, .judge, .quarantine, .examinePicture, .recordLost,
      .startOver, .log:
      break
    }
  }

  private mutating func update() {
    guard let result = accepted else { return fail("an update without a result") }
    accepted = nil
    let first = version.rows
    for row in first..<first + Self.rowsPerStep {
      let content = SplitMix64.mixed(result.low ^ UInt64(row))
      disk.rows[row] = content
      chain.append(Self.mixed(chain[row], content))
    }
    let student = Self.mixed(result, 5)
    version = VersionIdentity(
      step: version.step + 1, student: student, teacher: Self.probe, rows: first + Self.rowsPerStep, memoryFloor: 0)
    for extent in first / memory.rowsPerExtent...version.rows / memory.rowsPerExtent
    where rows(of: extent).upperBound <= version.rows && rows(of: extent).upperBound > first {
      tell(
        .extentSealed(
          ExtentIdentity(
            index: extent, before: chain[rows(of: extent).lowerBound], after: chain[rows(of: extent).upperBound])))
    }
    tell(.updateFinished(version))
  }

  /// Its rows were flushed first, and the table of sealed extents with them.
  private mutating func finishCheckpoint(_ version: VersionIdentity) {
    for extent in 0..<version.rows / memory.rowsPerExtent
    where !disk.ledger.entries.contains(where: { $0.extent.index == extent }) && local(extent) != nil {
      disk.ledger.entries.append(
        LedgerEntry(
          extent: ExtentIdentity(
            index: extent, before: chain[rows(of: extent).lowerBound], after: chain[rows(of: extent).upperBound]),
          holders: []))
    }
    disk.checkpoints = disk.checkpoints.suffix(1) + [version]
    let oldest = max(0, disk.checkpoints[0].rows - memory.size)
    disk.rows = disk.rows.filter { self.rows(of: $0.key / memory.rowsPerExtent).upperBound > oldest }
    tell(.checkpointFinished(step: version.step, failure: nil))
    tell(.rowsNeeded(from: oldest, settled: disk.checkpoints[0].rows))
  }

  private mutating func fetch(_ assigned: AssignedExtent) {
    guard let rows = copy(assigned) else {
      return tell(.extentFetched(assigned.extent.index, failure: "nobody has it"))
    }
    note("fetches")
    for (row, content) in zip(self.rows(of: assigned.extent.index), rows) { disk.rows[row] = content }
    tell(.extentFetched(assigned.extent.index, failure: nil))
  }

  private mutating func makeTrouble() {
    for index in shards.indices where !shards[index].isGone {
      if random.chance(faults.crash) { crashShard(index) }
      if random.chance(faults.partition) {
        note("partitions")
        shards[index].cutUntil = time + random.next(below: 50 * Self.second)
      }
      if random.chance(faults.slow) { shards[index].slowUntil = time + random.next(below: 60 * Self.second) }
    }
    if random.chance(faults.coordinatorCrash) { crashCoordinator() }
    let living = shards.indices.filter { !shards[$0].isGone }
    if random.chance(faults.addition), living.count < 8 {
      note("additions")
      addShard()
    }
    guard let victim = living.randomElement(using: &random) else { return }
    if random.chance(faults.drain) {
      tell(.message(.drainRequest(shard: shards[victim].id.description), from: sender(Self.worker)))
    }
    if random.chance(faults.drain / 2), let other = living.randomElement(using: &random) {
      tell(.message(.stayRequest(shard: shards[other].id.description), from: sender(Self.worker)))
    }
    guard damages < memory.replicas - 1, random.chance(faults.damage) else { return }
    damages += 1
    if random.chance(0.5) {
      note("lostDisks")
      shards[victim].isUp = false
      shards[victim].isGone = true
      addShard(inPlaceOf: random.chance(0.5) ? shards[victim] : nil)
    } else if shards[victim].isUp, let extent = shards[victim].disk.keys.sorted().randomElement(using: &random) {
      note("damages")
      shards[victim].disk[extent] = nil
      shards[victim].changes.append(.damaged(extent))
    }
  }
}
