import Coordination
import MemoryBank
import Numerics
import Services
import Training
import Wire

/// A few steps of a run, rehearsed: the run's own `Coordinator` leases, grants and accepts, and workers, links and the
/// update are clocks that run as long as what they stand for takes.
///
/// So what overlaps and what waits is what the processes do, step for step:
///
///     worker   pull weights, average the teacher, wait for rows gathered ahead, fetch the newest rows;
///              slices on all threads, added up along the lease's tree; pushes one after the other
///     ahead    the next step's rows, from the moment that this step's are there
///     update   payloads added up as they come, one after the other; then the update, and new leases
struct StepRehearsal {
  /// What the steps that count came to, each a mean over them; bytes and buffers of machine 0, the coordinator, worker 1
  /// and shard 1.
  struct Outcome {
    var seconds = 0.0
    /// Of a worker, one after the other.
    var phases = Phases()
    var links: LinkModel
    /// A step's, of all workers together.
    var pushes = 0.0
    /// Shares of the time.
    var computing = 0.0
    var updating = 0.0
    /// The most that were held at once.
    var coordinatorGradients = 0
    var workerBuffers = 0
    var steps = 0
  }

  /// Where a step's time goes, as its slowest worker sees it.
  struct Phases: Sendable {
    /// Pulling weights and averaging the teacher.
    var weights = 0.0
    /// Waiting for rows.
    var rows = 0.0
    /// From the first slice to the last.
    var slices = 0.0
    /// From a worker's last slice to the last gradient's addition.
    var gradients = 0.0
    var update = 0.0
  }

  private enum Happening {
    case pulled(Int)
    case averaged(Int)
    case rowsComplete(Int)
    case gatheredAhead(Int)
    case fetchedAhead(Int)
    case picturesHere(Int, LeaseID, SliceRange)
    case sliceDone(Int, LeaseID, SliceRange)
    case added(Int, LeaseID)
    case pushed(Int, LeaseID)
    case checked(Int, LeaseID)
    case updated
    case nothing
  }

  private struct Work {
    let lease: Lease
    var sum: TreeSum<Int>
    var slicesLeft: Int
  }

  private struct Worker {
    let peer: PeerID
    var held: [LeaseID: Work] = [:]
    var toPrepare: [LeaseID] = []
    var isPreparing = false
    /// The step whose weights and rows are on their way.
    var preparing = -1
    /// The step whose weights and rows are here.
    var step = -1
    /// The step whose teacher is here.
    var teacher = -2
    var ahead = Ahead.none
    /// The step whose rows are gathered ahead.
    var aheadStep = -1
    var isWaitingForAhead = false
    var tasks: [(lease: LeaseID, slice: Int)] = []
    var idle: Int
    var open = 0
    var toPush: [LeaseID] = []
    var isPushing = false
    /// Weights and gradients.
    var buffers = 0
    var buffersAtMost = 0
    // Times of the step.
    var weightsHere = 0.0
    var ready = 0.0
    var lastSlice = 0.0

    mutating func hold(_ count: Int) {
      buffers += count
      buffersAtMost = max(buffersAtMost, buffers)
    }
  }

  private enum Ahead { case none, underWay, done }

  /// Steps before those that count: by then everybody's pace is known.
  private var warmUp: Int { isLarge ? 2 : 4 }
  private var counted: Int { isLarge ? 2 : 8 }
  /// The coordinator's own leasing takes time that grows with workers and slices.
  private var isLarge: Bool { workers.count > 16 }
  /// The coordinator's patience is for peers that are slow or gone. There are none: its time passes slowly.
  private static let coordinatorPace = 1e-4

  private let plan: RunPlan
  private let deployment: Deployment
  private let fetches: ExpectedFetches
  private let floats: Double
  private let sliceSeconds: Double

  private var coordinator: Coordinator
  private var workers: [Worker]
  private var links: LinkModel
  private var clock = 0.0
  private var agenda = Agenda<Happening>()
  private var errands: [Int: (open: Int, then: Happening)] = [:]
  private var nextErrand = 0

  private var sum: TreeSum<Int>
  private var updateIsFreeAt = 0.0
  private var updateBegan = 0.0
  private var gradients = 0
  private var done = 0
  private var stepBegan = 0.0
  private var countedFrom = 0.0
  private var outcome: Outcome
  private var linksBefore: LinkModel
  private var nextShard = 0

  static func run(_ plan: RunPlan, on deployment: Deployment, _ fetches: ExpectedFetches) -> Outcome {
    var rehearsal = StepRehearsal(plan, deployment, fetches)
    return rehearsal.run()
  }

  private init(_ plan: RunPlan, _ deployment: Deployment, _ fetches: ExpectedFetches) {
    self.plan = plan
    self.deployment = deployment
    self.fetches = fetches
    floats = Double(plan.layout.count)
    let configuration = plan.configuration
    let rate = deployment.sgemmPerSecond * deployment.efficiency / Double(deployment.threads)
    // A share of the slices is computed twice, for audits.
    let audited = deployment.workers > 1 ? configuration.auditRate : 0
    sliceSeconds = Double(configuration.sliceSize) * plan.operationsPerImage / rate * (1 + audited)
    let probe = Digest(high: 0, low: 1)
    var settings = CoordinatorSettings(
      run: Self.identity, incarnation: Self.incarnation, protocolVersion: Wire.Limits.protocolVersion, probe: probe,
      welcome: Welcome(
        configuration: "", bulkPort: 1, data: DataIdentity(count: plan.pictures, digest: probe), rows: 0),
      slices: plan.slices, lastStep: 1 << 40, gradientCount: plan.layout.count, floatsPerSlice: plan.floatsPerSlice,
      pictureName: { "\($0)" }, pictures: { _, _ in [] })
    settings.audits = AuditSettings()
    coordinator = Coordinator(
      settings, resuming: Self.version(0), durableStep: nil, at: Instant(nanoseconds: 0))
    workers = (0..<deployment.workers).map { Worker(peer: PeerID(rawValue: UInt64($0 + 1)), idle: deployment.threads) }
    links = LinkModel(
      machines: 1 + deployment.workers + deployment.shards, bytesPerSecond: deployment.linkBytesPerSecond)
    linksBefore = links
    sum = TreeSum(tree: plan.tree)
    outcome = Outcome(links: links)
  }

  private static let identity = RunIdentity(high: 1, low: 1)
  private static let incarnation = Incarnation(1)

  private static func version(_ step: Int) -> Updated {
    let digest = Digest(high: 1, low: UInt64(step))
    return Updated(step: step, student: digest, teacher: digest, rows: 0, memoryFloor: 0)
  }
}

// MARK: - Time

extension StepRehearsal {
  private mutating func run() -> Outcome {
    for index in workers.indices {
      let hello = Hello(
        protocolVersion: Wire.Limits.protocolVersion, name: "\(index)", threads: deployment.threads,
        probe: Digest(high: 0, low: 1))
      tell(.hello(hello), index)
    }
    for index in workers.indices { sayReady(index) }
    while done < warmUp + counted {
      let (next, flow) = (agenda.next, links.untilNext())
      invariant(next != nil || flow != nil, "step \(done) of a rehearsal waits for nothing")
      if let flow, next.map({ clock + flow <= $0 }) ?? true {
        clock += flow
        for errand in links.pass(flow) { arrived(errand) }
      } else if let next {
        for errand in links.pass(max(0, next - clock)) { arrived(errand) }
        clock = max(clock, next)
        if let happening = agenda.take() { happens(happening) }
      }
    }
    return summary()
  }

  private mutating func after(_ seconds: Double, _ happening: Happening) { agenda.add(happening, at: clock + seconds) }

  /// Has bytes sent, from several machines at once; `then` happens when all are there.
  private mutating func send(
    _ parts: [(bytes: Double, from: Int)], _ kind: Traffic, to: Int, then happening: Happening
  ) {
    let parts = parts.filter { $0.bytes >= 1 }
    guard !parts.isEmpty else { return after(0, happening) }
    nextErrand += 1
    errands[nextErrand] = (parts.count, happening)
    for part in parts { links.add(part.bytes, kind, from: part.from, to: to, errand: nextErrand) }
  }

  private mutating func arrived(_ errand: Int) {
    guard let (open, then) = errands[errand] else { return }
    if open > 1 {
      errands[errand] = (open - 1, then)
    } else {
      errands[errand] = nil
      happens(then)
    }
  }

  private mutating func happens(_ happening: Happening) {
    switch happening {
    case .pulled(let index): pulled(index)
    case .averaged(let index): averaged(index)
    case .rowsComplete(let index): rowsComplete(index)
    case .gatheredAhead(let index):
      send(rowParts(fetches.older, index), .rows, to: machine(index), then: .fetchedAhead(index))
    case .fetchedAhead(let index):
      workers[index].ahead = .done
      if workers[index].isWaitingForAhead { averaged(index) }
    case .picturesHere(let index, let lease, let slice): after(sliceSeconds, .sliceDone(index, lease, slice))
    case .sliceDone(let index, let lease, let slice): sliceDone(index, lease, slice)
    case .added(let index, let lease): added(index, lease)
    case .pushed(let index, let lease): pushed(index, lease)
    case .checked(let index, let lease):
      workers[index].held[lease] = nil
      workers[index].buffers -= 1
      handle(.pushArrived(lease, .whole))
    case .updated: updated()
    case .nothing: break
    }
  }
}

// MARK: - Words

extension StepRehearsal {
  private mutating func handle(_ event: Event) {
    let now = Instant(nanoseconds: UInt64(clock * Self.coordinatorPace * 1e9))
    for effect in coordinator.handle(event, at: now) { carryOut(effect) }
  }

  private mutating func tell(_ message: WorkerMessage, _ index: Int) {
    let sender = Sender(run: Self.identity, incarnation: Self.incarnation, peer: workers[index].peer)
    handle(.message(message, from: sender))
  }

  private mutating func sayReady(_ index: Int) {
    let worker = workers[index]
    let idle = max(0, deployment.threads - worker.open)
    tell(.ready(Ready(idleThreads: idle, held: worker.held.keys.sorted())), index)
  }

  private mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(.lease(let lease), let peer): take(lease, Int(peer.rawValue) - 1)
    case .send(.grant(let lease), let peer):
      let index = Int(peer.rawValue) - 1
      workers[index].toPush.append(lease)
      push(index)
    case .send(.cancel(let lease), let peer): cancel(lease, Int(peer.rawValue) - 1)
    case .expectPush:
      gradients += 1
      outcome.coordinatorGradients = max(outcome.coordinatorGradients, gradients)
    case .abandonPush: gradients -= 1
    case .accept(_, let finished): accept(finished.slices)
    case .startUpdate: startUpdate()
    default: break
    }
  }
}

// MARK: - A worker

extension StepRehearsal {
  private func machine(_ index: Int) -> Int { 1 + index }

  private mutating func take(_ lease: Lease, _ index: Int) {
    workers[index].held[lease.lease] = Work(
      lease: lease, sum: TreeSum(tree: SliceTree(count: lease.slices.count)), slicesLeft: lease.slices.count)
    workers[index].open += lease.slices.count
    workers[index].toPrepare.append(lease.lease)
    prepare(index)
  }

  private mutating func prepare(_ index: Int) {
    while !workers[index].isPreparing, let id = workers[index].toPrepare.first {
      guard let work = workers[index].held[id] else {
        workers[index].toPrepare.removeFirst()
        continue
      }
      guard work.lease.step != workers[index].step else {
        workers[index].toPrepare.removeFirst()
        dispatch(id, index)
        continue
      }
      // The student takes the place of the one before, the teacher of none: the next follows from it.
      workers[index].isPreparing = true
      workers[index].preparing = work.lease.step
      let follows = workers[index].teacher == work.lease.step - 1
      workers[index].hold(workers[index].step < 0 ? 2 : 1)
      send([((follows ? 4 : 8) * floats, 0)], .weights, to: machine(index), then: .pulled(index))
    }
  }

  private mutating func pulled(_ index: Int) {
    // The average reads two and writes one; two digests.
    after(deployment.seconds(passingFloats: 5 * floats), .averaged(index))
  }

  private mutating func averaged(_ index: Int) {
    // A lease that was cancelled meanwhile makes no difference to those that follow: they are of the next step.
    let step = workers[index].preparing
    if !workers[index].isWaitingForAhead {
      workers[index].weightsHere = clock
      if workers[index].step >= 0 { workers[index].buffers -= 1 }
      workers[index].teacher = step
    }
    switch workers[index].ahead {
    case .underWay: workers[index].isWaitingForAhead = true
    case .done where workers[index].aheadStep == step:
      workers[index].isWaitingForAhead = false
      send(rowParts(fetches.newest, index, isNewest: true), .rows, to: machine(index), then: .rowsComplete(index))
    case .done, .none:
      workers[index].isWaitingForAhead = false
      send(
        rowParts(fetches.older, index) + rowParts(fetches.newest, index, isNewest: true), .rows, to: machine(index),
        then: .rowsComplete(index))
    }
  }

  private mutating func rowsComplete(_ index: Int) {
    workers[index].isPreparing = false
    workers[index].step = workers[index].preparing
    workers[index].ready = clock
    workers[index].aheadStep = workers[index].step + 1
    // Rows that are here are copied first, then the others asked for.
    workers[index].ahead = .underWay
    let copied = 2 * fetches.drawn * Double(plan.configuration.bottleneckDim)
    after(deployment.seconds(passingFloats: copied), .gatheredAhead(index))
    prepare(index)
  }

  /// Who sends so many rows, and how many bytes.
  private func rowParts(_ rows: Double, _ index: Int, isNewest: Bool = false) -> [(bytes: Double, from: Int)] {
    let rowSize = Double(plan.configuration.bottleneckDim * plan.rowType.bytes)
    let others = max(0, fetches.fromCoordinator - fetches.newest)
    let own = deployment.shards == 0 || isNewest ? rows : min(rows, others)
    let shards = 0..<deployment.shards
    return [(own * rowSize, 0)]
      + shards.map {
        ((rows - own) * rowSize / Double(shards.count), 1 + deployment.workers + $0)
      }
  }

  private mutating func dispatch(_ id: LeaseID, _ index: Int) {
    guard let lease = workers[index].held[id]?.lease else { return }
    workers[index].tasks += lease.slices.indices.map { (id, $0) }
    startSlices(index)
  }

  private mutating func startSlices(_ index: Int) {
    while workers[index].idle > 0, !workers[index].tasks.isEmpty {
      let (lease, slice) = workers[index].tasks.removeFirst()
      guard let work = workers[index].held[lease] else {
        workers[index].open -= 1
        sayReady(index)
        continue
      }
      workers[index].idle -= 1
      workers[index].hold(1)
      let range = SliceRange(first: slice - work.lease.slices.first, count: 1)
      let pictures = Double(deployment.pictureBytes * plan.configuration.sliceSize)
      send([(pictures, 0)], .pictures, to: machine(index), then: .picturesHere(index, lease, range))
    }
  }

  private mutating func sliceDone(_ index: Int, _ id: LeaseID, _ slice: SliceRange) {
    outcome.computing += sliceSeconds
    guard var work = workers[index].held[id] else {
      workers[index].buffers -= 1
      return threadIsIdle(index)
    }
    var additions = 0
    work.sum.insert(0, at: slice) { left, _ in
      additions += 1
      return left
    }
    work.slicesLeft -= 1
    workers[index].held[id] = work
    workers[index].buffers -= additions
    // An addition reads two and writes one; the payload's digest reads it.
    let passes = 3 * Double(additions) + (work.slicesLeft == 0 ? 1 : 0)
    after(deployment.seconds(passingFloats: passes * floats), .added(index, id))
  }

  private mutating func added(_ index: Int, _ id: LeaseID) {
    if let work = workers[index].held[id], work.sum.total != nil, work.slicesLeft == 0 {
      workers[index].lastSlice = clock
      // Said once: the lease's last slice is added last, whichever thread adds it.
      workers[index].held[id]?.slicesLeft = -1
      tell(.finished(finished(work.lease)), index)
    }
    threadIsIdle(index)
  }

  private mutating func threadIsIdle(_ index: Int) {
    workers[index].idle += 1
    workers[index].open -= 1
    sayReady(index)
    startSlices(index)
  }

  private func finished(_ lease: Lease) -> Finished {
    Finished(
      lease: lease.lease, step: lease.step, slices: lease.slices, payload: Digest(high: 2, low: 2),
      payloadCount: plan.layout.count + lease.slices.count * plan.floatsPerSlice,
      losses: lease.slices.indices.map { _ in SliceLoss(consistency: 0, koleo: 0, targetEntropy: 0) }, undecodable: [])
  }

  private mutating func cancel(_ id: LeaseID, _ index: Int) {
    guard let work = workers[index].held.removeValue(forKey: id) else { return }
    workers[index].buffers -= work.sum.waitingNodes.count
    // Not prepared yet: its slices are no task of any thread.
    if workers[index].toPrepare.contains(id), !(workers[index].isPreparing && workers[index].toPrepare.first == id) {
      workers[index].open -= work.lease.slices.count
    }
  }

  private mutating func push(_ index: Int) {
    guard !workers[index].isPushing, !workers[index].toPush.isEmpty else { return }
    let id = workers[index].toPush.removeFirst()
    guard let lease = workers[index].held[id]?.lease else { return push(index) }
    workers[index].isPushing = true
    let payload = floats + Double(lease.slices.count * plan.floatsPerSlice)
    outcome.pushes += 1
    send([(4 * payload, machine(index))], .gradients, to: 0, then: .pushed(index, id))
  }

  private mutating func pushed(_ index: Int, _ id: LeaseID) {
    workers[index].isPushing = false
    // The coordinator reads it twice: for the digest, and for what is not finite.
    after(deployment.seconds(passingFloats: 2 * floats), .checked(index, id))
    push(index)
  }
}

// MARK: - The coordinator

extension StepRehearsal {
  private mutating func accept(_ node: SliceRange) {
    var additions = 0
    sum.insert(0, at: node) { left, _ in
      additions += 1
      return left
    }
    gradients -= additions
    let seconds = deployment.seconds(passingFloats: 3 * Double(additions) * floats)
    updateIsFreeAt = max(updateIsFreeAt, clock) + seconds
    outcome.updating += seconds
  }

  private mutating func startUpdate() {
    updateBegan = max(updateIsFreeAt, clock)
    let seconds = deployment.seconds(passingFloats: Double(plan.optimizer.rule.floatsPassedPerWeight) * floats)
    updateIsFreeAt = updateBegan + seconds
    outcome.updating += seconds
    after(updateIsFreeAt - clock, .updated)
  }

  private mutating func updated() {
    gradients -= 1
    sum = TreeSum(tree: plan.tree)
    done += 1
    if done > warmUp {
      let slowest = workers.max { $0.lastSlice < $1.lastSlice }
      if let slowest {
        outcome.phases.weights += slowest.weightsHere - stepBegan
        outcome.phases.rows += slowest.ready - slowest.weightsHere
        outcome.phases.slices += slowest.lastSlice - slowest.ready
        outcome.phases.gradients += updateBegan - slowest.lastSlice
        outcome.phases.update += clock - updateBegan
      }
    }
    if done == warmUp {
      countedFrom = clock
      linksBefore = links
      (outcome.computing, outcome.updating, outcome.pushes) = (0, 0, 0)
    }
    stepBegan = clock
    guard done < warmUp + counted else { return }
    // The rows that shards copy, in the background.
    if deployment.shards > 0 {
      let record = Double(plan.extentLayout(run: Digest(high: 0, low: 0)).recordSize)
      let replicas = min(plan.configuration.memoryReplicas, deployment.shards)
      for _ in 0..<replicas {
        send(
          [(Double(plan.configuration.batchSize) * record, 0)], .extents,
          to: 1 + deployment.workers + nextShard % deployment.shards, then: .nothing)
        nextShard += 1
      }
    }
    handle(.updateFinished(Self.version(done)))
  }

  private func summary() -> Outcome {
    var outcome = outcome
    let (steps, seconds) = (Double(counted), clock - countedFrom)
    outcome.seconds = seconds / steps
    outcome.pushes /= steps
    outcome.computing /= seconds * Double(deployment.workers * deployment.threads)
    outcome.updating /= seconds
    outcome.phases.weights /= steps
    outcome.phases.rows /= steps
    outcome.phases.slices /= steps
    outcome.phases.gradients /= steps
    outcome.phases.update /= steps
    outcome.links = links
    outcome.links.forget(linksBefore)
    outcome.workerBuffers = workers.map(\.buffersAtMost).max() ?? 0
    outcome.steps = counted
    return outcome
  }
}
