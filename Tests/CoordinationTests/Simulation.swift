import Coordination
import Numerics
import TestSupport
import Wire

/// The real coordinator and checkpoints among simulated workers, over a simulated network, clock and disk, all from one
/// seed.
///
/// Safety is checked after each event: `broken` then says what went wrong. Once faults have stopped the run must finish,
/// or `unfinished` says what is pending.
struct Simulation {
  /// A mistake put into the process around the state machine, which the checks must find.
  enum PlantedBug {
    /// A payload that came twice is added twice.
    case countsDuplicatePushes
    /// A checkpoint is called durable when its writing begins.
    case reportsCheckpointsEarly
    /// A checkpoint has the step that an update begins, and the weights from before that update.
    case claimsStepsBeforeTheirUpdate
    /// What was said to the coordinator's last life counts in this one.
    case takesResultsOfOlderIncarnations
    /// Going back is forgotten: the newest checkpoint is resumed, spoilt as it may be.
    case forgetsToGoBack
  }

  /// What happens at some time.
  enum Happening {
    case toCoordinator(WorkerMessage, Sender)
    case toWorker(CoordinatorMessage, Incarnation, PeerID)
    case push(LeaseID, Digest, Sender)
    case pushed(LeaseID, Incarnation, PeerID)
    case workerStarts(Int)
    case workerBeats(Int, life: Int)
    case computed(Int, life: Int, LeaseID)
    case coordinatorStarts
    case tick(life: Int)
    case updated(life: Int)
    case written(life: Int, fails: Bool)
    case judged(life: Int, Event)
    case trouble
  }

  static let probe = Digest(high: 7, low: 7)
  static let run = RunIdentity(high: 11, low: 13)
  static let second: UInt64 = 1_000_000_000
  /// How far the coordinator's clock is ahead at each start: so that it may be set back.
  private static let clockAtStart = 10_000 * second

  let seed: UInt64
  let truth: Truth
  let lastStep: Int
  let checkpointEverySteps: Int
  let bug: PlantedBug?
  var faults: Faults
  var random: SplitMix64
  private var queue = EventQueue<Happening>()
  private(set) var time: UInt64 = 0
  var workers: [SimulatedWorker] = []
  var coordinator: SimulatedCoordinator
  /// Hosts of workers that were ever quarantined.
  var found: Set<String> = []
  /// Which worker a peer number belongs to, past lives included.
  private var indexOfPeer: [PeerID: Int] = [:]
  /// By worker: nothing gets through to it, from it, or both, until then.
  private var cutTo: [UInt64]
  private var cutFrom: [UInt64]
  private var givenBack: [Int: Int] = [:]
  /// What coordinators that crashed had counted, and what was done to them.
  var past: [String: Int] = [:]
  /// The first thing that must not happen and did.
  private(set) var broken: String?
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
    coordinator = SimulatedCoordinator(version: truth.versions[0], sum: TreeSum(tree: truth.tree))
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
  private var now: Instant { Instant(nanoseconds: time + coordinator.clock) }

  /// As it is on the disk when the run is done.
  var finalVersion: Updated? { coordinator.final }

  /// Why the run has not finished; nil when it has.
  var unfinished: String? {
    guard coordinator.stopped != .finished else { return nil }
    if let stopped = coordinator.stopped { return "stopped: \(stopped)" }
    guard let machine = coordinator.machine else { return "the coordinator is down" }
    return "pending: \(machine.status(at: now))"
  }

  mutating func stopFaults() {
    let (rate, liesEvery) = (faults.auditRate, faults.liesEvery)
    faults = .none
    (faults.auditRate, faults.liesEvery) = (rate, liesEvery)
    coordinator.stoppedUntil = 0
    for index in workers.indices {
      workers[index].stoppedUntil = 0
      (cutTo[index], cutFrom[index]) = (0, 0)
    }
  }

  /// Runs until the coordinator's step is `step` or it stopped, something is broken, or so many events are past.
  mutating func run(toStep goal: Int?, eventsAtMost limit: Int) {
    let end = events + limit
    while events < end, broken == nil, coordinator.stopped == nil, goal.map({ step < $0 }) ?? true,
      let (at, happening) = queue.pop()
    {
      time = at
      events += 1
      perform(happening)
    }
  }

  mutating func schedule(_ happening: Happening, in delay: UInt64) {
    queue.push(happening, at: time + delay)
  }

  mutating func fail(_ message: String) { if broken == nil { broken = message } }

  private mutating func perform(_ happening: Happening) {
    switch happening {
    case .toCoordinator(let message, let sender):
      if !isCoordinatorStopped(happening) { tell(.message(message, from: heard(sender))) }
    case .push(let lease, let payload, let sender):
      if !isCoordinatorStopped(happening) { arrive(lease, payload, from: heard(sender)) }
    case .toWorker(let message, let incarnation, let peer):
      guard let index = living(peer, orLater: happening) else { return }
      hear(message, incarnation, index)
    case .pushed(let lease, let incarnation, let peer):
      guard let index = living(peer, orLater: happening) else { return }
      if workers[index].incarnation == incarnation { workers[index].held[lease] = nil }
    case .workerStarts(let index): startWorker(index)
    case .workerBeats(let index, let life):
      guard workers[index].life == life, workers[index].isUp, !isStopped(index, happening) else { return }
      beat(index)
    case .computed(let index, let life, let lease):
      guard workers[index].life == life, workers[index].isUp, !isStopped(index, happening) else { return }
      computed(lease, index)
    case .coordinatorStarts: startCoordinator()
    case .tick(let life):
      guard life == coordinator.life, coordinator.machine != nil, !isCoordinatorStopped(happening) else { return }
      schedule(happening, in: Self.second / 10)
      tell(.tick)
    case .updated(let life):
      guard life == coordinator.life, coordinator.machine != nil, !isCoordinatorStopped(happening) else { return }
      update()
    case .written(let life, let fails):
      guard life == coordinator.life, coordinator.machine != nil, !isCoordinatorStopped(happening) else { return }
      finishCheckpoint(fails: fails)
    case .judged(let life, let judgement):
      guard life == coordinator.life, coordinator.machine != nil, !isCoordinatorStopped(happening) else { return }
      tell(judgement)
    case .trouble:
      makeTrouble()
      schedule(.trouble, in: Self.second)
    }
  }
}

// MARK: - The network

extension Simulation {
  /// Sends over a line that loses, doubles and delays.
  private mutating func send(_ happening: Happening, after delay: UInt64 = 0, worker: Int?, toWorker: Bool) {
    if let worker, (toWorker ? cutTo : cutFrom)[worker] > time { return }
    if random.chance(faults.loss) { return }
    for _ in 0..<(random.chance(faults.duplication) ? 2 : 1) {
      var flight = delay + 100_000 + random.next(below: 5_000_000)
      if random.chance(faults.lateness) { flight += random.next(below: faults.longestDelay) }
      schedule(happening, in: flight)
    }
  }

  private mutating func say(_ message: WorkerMessage, _ index: Int) {
    send(.toCoordinator(message, workers[index].sender), worker: index, toWorker: false)
  }

  /// The worker that has this number now. While it is stopped, what came waits in its socket.
  private mutating func living(_ peer: PeerID, orLater happening: Happening) -> Int? {
    guard let index = indexOfPeer[peer], workers[index].isUp, workers[index].peer == peer else { return nil }
    return isStopped(index, happening) ? nil : index
  }

  private mutating func isStopped(_ index: Int, _ happening: Happening) -> Bool {
    guard workers[index].stoppedUntil > time else { return false }
    queue.push(happening, at: workers[index].stoppedUntil)
    return true
  }

  /// The same for the coordinator.
  private mutating func isCoordinatorStopped(_ happening: Happening) -> Bool {
    guard coordinator.stoppedUntil > time else { return false }
    queue.push(happening, at: coordinator.stoppedUntil)
    return true
  }

  private mutating func makeTrouble() {
    for index in workers.indices {
      if random.chance(faults.workerCrash) { crashWorker(index) }
      if random.chance(faults.workerStop) {
        workers[index].stoppedUntil = time + random.next(below: 60 * Self.second)
      }
      if random.chance(faults.partition) {
        let until = time + random.next(below: 40 * Self.second)
        let kind = random.next(below: 3)
        if kind != 0 { cutTo[index] = until }
        if kind != 1 { cutFrom[index] = until }
      }
    }
    if random.chance(faults.coordinatorCrash) { crashCoordinator(losingPower: random.chance(faults.powerCut)) }
    guard coordinator.machine != nil, coordinator.stopped == nil else { return }
    if random.chance(faults.coordinatorStop) {
      past["stops", default: 0] += 1
      coordinator.stoppedUntil = time + random.next(below: 60 * Self.second)
    }
    if random.chance(faults.clockJump) {
      past["jumps", default: 0] += 1
      let length = random.next(below: 60 * Self.second)
      coordinator.clock = random.chance(0.5) ? coordinator.clock + length : coordinator.clock - length
    }
    if random.chance(faults.rival) {
      past["rivals", default: 0] += 1
      if !coordinator.disk.turnsAway(&random) { fail("a second coordinator got the run directory") }
    }
  }

  /// Another takes its place within ten seconds.
  mutating func crashWorker(_ index: Int) {
    guard workers[index].isUp else { return }
    workers[index].isUp = false
    schedule(.workerStarts(index), in: random.next(below: 10 * Self.second))
  }

  /// It starts again within five seconds. A checkpoint that it was writing is cut off at some call.
  mutating func crashCoordinator(losingPower: Bool) {
    guard let machine = coordinator.machine, coordinator.stopped == nil else { return }
    add(machine, to: &past)
    past["crashes", default: 0] += 1
    if losingPower { past["powerCuts", default: 0] += 1 }
    if coordinator.writing != nil { past["tornWrites", default: 0] += 1 }
    coordinator.disk.crash(writing: coordinator.writing, losingPower: losingPower, &random)
    coordinator.machine = nil
    schedule(.coordinatorStarts, in: random.next(below: 5 * Self.second))
  }
}

// MARK: - Workers

extension Simulation {
  private mutating func startWorker(_ index: Int) {
    guard !workers[index].isBanished else { return }
    let peer = PeerID(rawValue: random.next())
    indexOfPeer[peer] = index
    workers[index].start(as: peer)
    workers[index].heard = time
    schedule(.workerBeats(index, life: workers[index].life), in: 0)
  }

  private mutating func beat(_ index: Int) {
    schedule(.workerBeats(index, life: workers[index].life), in: Self.second)
    if time - workers[index].heard > 4 * Self.second { workers[index].isWelcome = false }
    guard workers[index].isWelcome else { return say(workers[index].hello, index) }
    say(workers[index].ready, index)
    // What got no answer is said again; the first may be lost.
    for lease in workers[index].heldInOrder {
      if let finished = workers[index].held[lease]?.finished { say(.finished(finished), index) }
    }
    if random.chance(faults.nonsense) { talkNonsense(index) }
  }

  private mutating func talkNonsense(_ index: Int) {
    let sender = workers[index].sender
    let stray = LeaseID(random.next(below: 60))
    switch random.next(below: 5) {
    case 0: send(.toCoordinator(.ready(Ready(idleThreads: -1, held: [])), sender), worker: index, toWorker: false)
    case 1: say(.returned(Returned(lease: stray, reason: "never had it")), index)
    case 2:
      say(
        .finished(
          Finished(
            lease: stray, step: .max, slices: SliceRange(first: .min, count: .max), payload: Self.probe,
            payloadCount: -1, losses: [], undecodable: [])), index)
    case 3:
      let older = Sender(run: sender.run, incarnation: Incarnation(0), peer: sender.peer)
      send(.toCoordinator(workers[index].ready, older), worker: index, toWorker: false)
    default:
      let other = Sender(run: RunIdentity(high: 1, low: 1), incarnation: sender.incarnation, peer: sender.peer)
      send(.toCoordinator(.goodbye, other), worker: index, toWorker: false)
    }
  }

  private mutating func hear(_ message: CoordinatorMessage, _ incarnation: Incarnation, _ index: Int) {
    guard incarnation >= workers[index].incarnation else { return }
    if incarnation > workers[index].incarnation {
      // Another coordinator: leases of the one before are void.
      workers[index].incarnation = incarnation
      workers[index].held = [:]
      workers[index].isWelcome = false
    }
    workers[index].heard = time
    switch message {
    case .welcome:
      workers[index].run = Self.run
      workers[index].isWelcome = true
      say(workers[index].ready, index)
    case .refusal(let refusal) where refusal.reason == .quarantined:
      // As the real one, it ends, and nobody starts it again.
      workers[index].isUp = false
      workers[index].isBanished = true
    case .refusal(let refusal):
      guard refusal.reason == .unknownPeer else { return }
      workers[index].isWelcome = false
      workers[index].held = [:]
      say(workers[index].hello, index)
    case .lease(let lease):
      guard workers[index].isWelcome, workers[index].held[lease.lease] == nil else { return }
      workers[index].held[lease.lease] = SimulatedWorker.Held(lease: lease)
      computeWhatWaits(index)
    case .grant(let lease): push(lease, index)
    case .cancel(let lease):
      workers[index].held[lease] = nil
      computeWhatWaits(index)
    case .finished: say(.goodbye, index)
    case .heartbeat, .status, .shardWelcome, .assignment, .memory, .drain: break
    }
  }

  private mutating func computeWhatWaits(_ index: Int) {
    for id in workers[index].heldInOrder {
      guard let held = workers[index].held[id], held.threads == 0, held.finished == nil,
        workers[index].idleThreads > 0
      else { continue }
      let slices = held.lease.slices.count
      let threads = min(workers[index].idleThreads, slices)
      workers[index].held[id]?.threads = threads
      var duration = workers[index].pace * UInt64((slices + threads - 1) / threads)
      if random.chance(faults.workerHang) { duration += random.next(below: 300 * Self.second) }
      schedule(.computed(index, life: workers[index].life, id), in: duration)
    }
  }

  private mutating func computed(_ id: LeaseID, _ index: Int) {
    guard let lease = workers[index].held[id]?.lease, workers[index].held[id]?.finished == nil else { return }
    let slice = lease.step * 100 + lease.slices.first
    if random.chance(faults.givingBack), givenBack[slice, default: 0] < 2 {
      givenBack[slice, default: 0] += 1
      workers[index].held[id] = nil
      say(.returned(Returned(lease: id, reason: "read error")), index)
    } else {
      let version = Updated(
        step: lease.step, student: lease.student, teacher: lease.teacher, rows: lease.rows,
        memoryFloor: lease.memoryFloor)
      let finished = Finished(
        lease: id, step: lease.step, slices: lease.slices,
        payload: answer(Truth.payload(of: lease.slices, in: truth.tree, with: version), of: index),
        payloadCount: 100 + 10 * lease.slices.count,
        losses: lease.slices.indices.map { _ in
          // Tells on whose behalf it was computed: see `accept`.
          SliceLoss(consistency: Double(workers[index].incarnation.number), koleo: 0, targetEntropy: 1)
        },
        undecodable: [])
      workers[index].held[id]?.finished = finished
      workers[index].held[id]?.threads = 0
      say(.finished(finished), index)
    }
    computeWhatWaits(index)
    say(workers[index].ready, index)
  }

  private mutating func push(_ id: LeaseID, _ index: Int) {
    guard let finished = workers[index].held[id]?.finished else { return }
    var payload = finished.payload
    if random.chance(faults.damage) { payload = Digest(high: payload.high ^ 1, low: payload.low) }
    send(
      .push(id, payload, workers[index].sender), after: random.next(below: Self.second / 10), worker: index,
      toWorker: false)
  }
}

// MARK: - The coordinator's process

extension Simulation {
  private var settings: CoordinatorSettings {
    var settings = CoordinatorSettings(
      run: Self.run, incarnation: incarnation, protocolVersion: 1, probe: Self.probe,
      welcome: Welcome(configuration: "", bulkPort: 1, data: DataIdentity(count: 1000, digest: Self.probe), rows: 0),
      slices: truth.tree.count, lastStep: lastStep, gradientCount: 100, floatsPerSlice: 10,
      checkpointEverySteps: checkpointEverySteps, checkpointEvery: .seconds(30), pictureName: { "picture \($0)" },
      pictures: { _, slice in [slice] })
    settings.audits = audits
    return settings
  }

  var incarnation: Incarnation { Incarnation(coordinator.disk.incarnation) }

  /// As the process hears it.
  private func heard(_ sender: Sender) -> Sender {
    var sender = sender
    if bug == .takesResultsOfOlderIncarnations { sender.incarnation = incarnation }
    return sender
  }

  /// The newest checkpoint, which must be a calm run's; nil if there is none, or something is wrong.
  private mutating func openDisk() -> Updated? {
    let before = coordinator.disk.incarnation
    do {
      let newest = try coordinator.disk.open(&random)
      if incarnation.number <= before { fail("incarnation \(incarnation.number) after \(before)") }
      let step = newest?.step ?? -1
      if step < coordinator.reportedDurable {
        fail("checkpoint \(coordinator.reportedDurable) was durable, but \(step) is the newest")
      }
      if let newest, newest != truth.versions[step], !mayBeSpoilt {
        fail("checkpoint \(step) has other bits than a calm run's")
      }
      return newest
    } catch {
      fail("the run directory: \(error)")
      return nil
    }
  }

  private mutating func startCoordinator() {
    guard coordinator.machine == nil, coordinator.stopped == nil else { return }
    coordinator.life += 1
    coordinator.clock = Self.clockAtStart
    coordinator.stoppedUntil = 0
    let newest = openDisk()
    guard broken == nil else { return }
    let version = newest ?? truth.versions[0]
    coordinator.version = version
    coordinator.previous = nil
    coordinator.machine = Coordinator(settings, resuming: version, durableStep: newest?.step, at: now)
    coordinator.expected = [:]
    coordinator.arrived = [:]
    coordinator.sum = TreeSum(tree: truth.tree)
    coordinator.acceptedSlices = []
    coordinator.isUpdating = false
    coordinator.writing = nil
    schedule(.tick(life: coordinator.life), in: 0)
  }

  /// Gives the machine an event, checks it, and carries its effects out.
  mutating func tell(_ event: Event) {
    guard coordinator.machine != nil, coordinator.stopped == nil else { return }
    let now = now
    let effects = coordinator.machine?.handle(event, at: now) ?? []
    do {
      try coordinator.machine?.checkInvariants()
    } catch {
      fail("\(error), after \(event)")
    }
    for effect in effects { carryOut(effect) }
  }

  private mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(let message, let peer):
      guard let index = indexOfPeer[peer] else { return }
      send(.toWorker(message, incarnation, peer), worker: index, toWorker: true)
    case .expectPush(let lease, _, let finished):
      if coordinator.expected[lease] != nil { fail("lease \(lease.number) is expected twice") }
      coordinator.expected[lease] = finished
      if coordinator.expected.count > Coordination.Limits.gradientsInFlight { fail("too many gradients in flight") }
    case .abandonPush(let lease):
      if coordinator.expected.removeValue(forKey: lease) == nil { fail("lease \(lease.number) was not expected") }
    case .accept(let lease, let finished): accept(lease, finished)
    case .startUpdate(let step):
      if coordinator.isUpdating || step != coordinator.version.step { fail("update of step \(step) out of turn") }
      if coordinator.sum.total == nil { fail("update of step \(step) with \(coordinator.sum.waitingNodes)") }
      coordinator.isUpdating = true
      schedule(.updated(life: coordinator.life), in: random.next(below: Self.second / 5))
    case .writeCheckpoint(let step): beginCheckpoint(of: step)
    case .stop(.goesBack): goBack()
    case .sendMemory, .writeLedger, .releaseExtents, .fetchExtent, .raiseFloor: break
    case .stop(let reason):
      coordinator.stopped = reason
      guard reason == .finished else { return }
      // Whatever happens to the machine from here on, the end of the run is on its disk.
      coordinator.disk.crash(writing: nil, losingPower: true, &random)
      coordinator.final = openDisk()
      if coordinator.final?.step != lastStep { fail("finished without a checkpoint") }
    case .judge(let step, let slices): judge(slices, of: step)
    case .quarantine(let hosts, let step): quarantine(hosts, goingBackTo: step)
    case .sendStatus, .log: break
    }
  }

  private mutating func arrive(_ lease: LeaseID, _ payload: Digest, from sender: Sender) {
    guard coordinator.machine != nil, sender.incarnation == incarnation else { return }
    guard let finished = coordinator.expected[lease] else {
      if bug == .countsDuplicatePushes, let again = coordinator.arrived[lease], again.payload == payload { add(again) }
      return
    }
    coordinator.arrived[lease] = finished
    send(
      .pushed(lease, sender.incarnation, sender.peer), worker: indexOfPeer[sender.peer], toWorker: true)
    tell(.pushArrived(lease, payload == finished.payload ? .whole : .damaged))
  }

  private mutating func accept(_ lease: LeaseID, _ finished: Finished) {
    guard coordinator.expected.removeValue(forKey: lease) == finished, coordinator.arrived[lease] == finished else {
      return fail("lease \(lease.number) is accepted without its payload")
    }
    add(finished)
  }

  private mutating func add(_ finished: Finished) {
    guard finished.step == coordinator.version.step else {
      return fail("a result of step \(finished.step) counts in step \(coordinator.version.step)")
    }
    if let loss = finished.losses.first(where: { $0.consistency != Double(incarnation.number) }) {
      return fail("a result of incarnation \(Int(loss.consistency)) counts in incarnation \(incarnation.number)")
    }
    for slice in finished.slices.indices where !coordinator.acceptedSlices.insert(slice).inserted {
      return fail("slice \(slice) of step \(finished.step) is counted twice")
    }
    coordinator.sum.insert(finished.payload, at: finished.slices, add: Truth.sum)
  }

  private mutating func update() {
    guard let total = coordinator.sum.total else { return fail("an update without a sum") }
    coordinator.previous = coordinator.version
    coordinator.version = Truth.updated(coordinator.version, with: total, in: truth.tree)
    if coordinator.version != truth.versions[coordinator.version.step], !mayBeSpoilt {
      fail("step \(coordinator.version.step) has other bits than a calm run's")
    }
    coordinator.sum = TreeSum(tree: truth.tree)
    coordinator.acceptedSlices = []
    coordinator.arrived = [:]
    coordinator.isUpdating = false
    tell(.updateFinished(coordinator.version))
  }

  private mutating func beginCheckpoint(of step: Int) {
    if coordinator.writing != nil { fail("two checkpoints at once") }
    coordinator.disk.unaudited = coordinator.machine?.unauditedHosts(before: step) ?? [:]
    if step != coordinator.version.step || coordinator.isUpdating { fail("checkpoint of step \(step) out of turn") }
    coordinator.writing = coordinator.version
    if bug == .claimsStepsBeforeTheirUpdate, var claimed = coordinator.previous {
      claimed.step = step
      coordinator.writing = claimed
    }
    if bug == .reportsCheckpointsEarly { coordinator.reportedDurable = max(coordinator.reportedDurable, step) }
    schedule(
      .written(life: coordinator.life, fails: random.chance(faults.checkpointFailure)),
      in: random.next(below: 2 * Self.second))
  }

  private mutating func finishCheckpoint(fails: Bool) {
    guard let version = coordinator.writing else { return fail("a checkpoint that was not begun") }
    coordinator.writing = nil
    do {
      if fails {
        try coordinator.disk.writeOnFullDisk(version, &random)
      } else {
        try coordinator.disk.write(version)
      }
      coordinator.reportedDurable = max(coordinator.reportedDurable, version.step)
      tell(.checkpointFinished(step: version.step, failure: nil))
    } catch {
      if !fails { fail("checkpoint \(version.step): \(error)") }
      tell(.checkpointFinished(step: version.step, failure: "\(error)"))
    }
  }
}
