import Coordination
import Foundation
import MemoryBank
import Messages
import Numerics
import Slices
import Training

/// A few steps of a run, rehearsed: the run's own `Coordinator` leases, grants and accepts, each worker's own
/// `WorkerMachine` asks, announces and pushes, and threads, links and the update are clocks that run as long as what they
/// stand for takes.
///
/// So what overlaps and what waits is what the processes do, step for step:
///
///     worker   pull weights, average the teacher, wait for rows gathered ahead, fetch the newest rows, unless these
///              come with the weights;
///              slices on all threads, added up along the lease's tree; pushes one after the other
///     ahead    the next step's rows, from the moment that this step's are there
///     reduce   where gradients stay with the workers: chunks pulled, added up and sent on, all at once
///     update   payloads added up as they come, one after the other; then the update, and new leases
struct StepSimulation {
  enum Happening {
    case welcomed(Int, Welcome)
    case pulled(Int)
    case averaged(Int)
    case rowsComplete(Int)
    case gatheredAhead(Int)
    case fetchedAhead(Int)
    case picturesHere(Int, LeaseID, SliceRange)
    case sliceDone(Int, LeaseID, SliceRange)
    case added(Int, LeaseID, isLast: Bool)
    case pushed(Int, LeaseID, keepsGradient: Bool)
    case checked(Int, LeaseID, keepsGradient: Bool)
    case partsHere(ChunkWindow)
    case partsAdded(ChunkWindow)
    case sumsSent(ChunkWindow)
    case sumsTaken(ChunkWindow)
    case updated
    case probed(BulkAddress)
    case failed(Int)
    case nothing
  }

  /// Steps before those that count: by then everybody's pace is known.
  private var warmUpAtLeast: Int { isLarge && coordinator.settings.exchanges == false ? 2 : 4 }
  /// An exchange makes steps shorter than the first ones promised. Until the workers' paces follow, the coordinator has
  /// slices computed twice: steps do not count before three in a row take as long.
  private static let warmUpAtMost = 32
  private var counted: Int { loses != nil ? 1 : isLarge ? 2 : 8 }
  /// The coordinator's own leasing takes time that grows with workers and slices.
  private var isLarge: Bool { workers.count > 16 }
  /// Of a worker's leases in a step that is rehearsed to see what audits cost, those that are audited.
  private static let auditsShown = 2.0
  /// The coordinator's patience is for peers that are slow or gone. There are none: its time passes slowly.
  private static let coordinatorPace = 1e-4

  let definition: RunDefinition
  let deployment: Deployment
  let fetches: ExpectedFetches
  let floats: Double
  let sliceSeconds: Double

  private var coordinator: Coordinator
  var workers: [Worker]
  var links: LinkModel
  var clock = 0.0
  private var queue = EventQueue<Double, Happening>()
  private var errands: [Int: (open: Int, then: Happening)] = [:]
  private var nextErrand = 0

  private var sum: TreeSum<Int>
  private var updateIsFreeAt = 0.0
  private var updateBegan = 0.0
  /// Buffers of their size in the coordinator.
  private var gradients = 0
  /// Whole ones that are on their way.
  private var arriving: Set<LeaseID> = []
  private var isHashing = false
  /// Workers that the step's weights are fetched from.
  var weightSources: [Int] = []
  /// The same, as who sends them.
  var weightGroup = LinkModel.Source.machine(0)
  var reduction = StepReduction()
  private var done = 0
  /// Steps before those that count; nil until that is known.
  private var warmUp: Int?
  private var warmUpAtMost = Self.warmUpAtMost
  /// Seconds of the last three.
  private var recent: [Double] = []
  private var stepBegan = 0.0
  private var countedFrom = 0.0
  /// The worker that is gone in the middle of the only step that counts; nil where none is.
  private var loses: Int?
  var outcome: Outcome
  private var linksBefore: LinkModel
  private var nextShard = 0

  /// Seconds that a step takes in the middle of which the last worker is gone, and does not come back.
  static func secondsOfAFailure(
    _ definition: RunDefinition, on deployment: Deployment, _ fetches: ExpectedFetches
  ) -> Double {
    var rehearsal = StepSimulation(definition, deployment, fetches, auditRate: 0)
    rehearsal.loses = deployment.workers - 1
    return rehearsal.run().seconds
  }

  static func run(_ definition: RunDefinition, on deployment: Deployment, _ fetches: ExpectedFetches) -> Outcome {
    func rehearsed(auditing rate: Double, warmUpAtMost: Int = Self.warmUpAtMost) -> Outcome {
      var rehearsal = StepSimulation(definition, deployment, fetches, auditRate: rate)
      rehearsal.warmUpAtMost = warmUpAtMost
      return rehearsal.run()
    }
    var outcome = rehearsed(auditing: 0)
    let rate = deployment.workers > 1 ? definition.configuration.auditRate : 0
    guard rate > 0 else { return outcome }
    // At a usual rate few steps have audited leases. So steps that have are rehearsed, and counted as often as they come:
    // there is a draw for the first lease of every worker, one for the second, and so on.
    let (draws, shown) = (outcome.leases, max(rate, min(1, Self.auditsShown / outcome.leases)))
    func share(_ rate: Double) -> Double { 1 - pow(1 - rate, draws) }
    // Steps of audits never come to take as long as one another where copies of slow leases end first.
    outcome.addAudits(of: rehearsed(auditing: shown, warmUpAtMost: outcome.warmUp), share: share(rate) / share(shown))
    return outcome
  }

  private init(
    _ definition: RunDefinition, _ deployment: Deployment, _ fetches: ExpectedFetches, auditRate: Double
  ) {
    self.definition = definition
    self.deployment = deployment
    self.fetches = fetches
    floats = Double(definition.layout.count)
    let configuration = definition.configuration
    let rate = deployment.sgemmPerSecond * deployment.efficiency / Double(deployment.threads)
    sliceSeconds = Double(configuration.sliceSize) * definition.operationsPerImage / rate
    let probe = Digest(high: 0, low: 1)
    let settings = CoordinatorSettings(
      run: Self.identity, incarnation: Self.incarnation,
      compatibility: Compatibility(protocolVersion: WireLimits.protocolVersion, probe: probe),
      welcome: Welcome(
        configuration: "", bulkPort: 1, data: DataIdentity(count: definition.pictures, digest: probe), rows: 0),
      shape: StepShape(
        slices: definition.slices, gradientCount: definition.layout.count, floatsPerSlice: definition.floatsPerSlice),
      lastStep: Self.steps, audits: AuditSettings(rate: auditRate, seed: 1),
      exchanges: Self.exchanges(definition, deployment),
      pictures: PictureSettings(name: { "\($0)" }, ofSlice: { _, _ in [] }))
    coordinator = Coordinator(
      settings, resuming: Self.version(0), durableStep: nil, at: Instant(nanoseconds: 0))
    workers = (0..<deployment.workers).map { Worker(number: $0, threads: deployment.threads, probe: probe) }
    links = LinkModel(
      machines: 1 + deployment.workers + deployment.shards, bytesPerSecond: deployment.linkBytesPerSecond)
    linksBefore = links
    sum = TreeSum(tree: definition.tree)
    outcome = Outcome(links: links)
  }

  static let identity = RunIdentity(high: 1, low: 1)
  static let incarnation = Incarnation(1)
  /// More than are ever rehearsed.
  static let steps = 1 << 40

  /// The coordinator's rule goes by how long payloads take on its clock, which is not the links' here: it is asked by
  /// itself.
  private static func exchanges(_ definition: RunDefinition, _ deployment: Deployment) -> Bool {
    let bytes = 4 * definition.layout.count
    return switch definition.configuration.exchange {
    case .never: false
    case .always: true
    case .automatic:
      Exchange.pays(
        workers: deployment.workers, sources: min(deployment.workers, CoordinationLimits.weightSources),
        crossing: .seconds(Double(bytes) / deployment.linkBytesPerSecond), bytes: bytes)
    }
  }

  private static func version(_ step: Int) -> VersionIdentity {
    let digest = Digest(high: 1, low: UInt64(step))
    return VersionIdentity(step: step, student: digest, teacher: digest, rows: 0, memoryFloor: 0)
  }
}

// MARK: - Time

extension StepSimulation {
  private var isSteady: Bool {
    guard coordinator.settings.exchanges != false else { return true }
    return recent.count == 3 && recent.allSatisfy { abs($0 / recent[0] - 1) < 0.01 }
  }

  private var isOver: Bool { warmUp.map { done == $0 + counted } ?? false }

  private mutating func run() -> Outcome {
    // All are there before the first is welcomed: it would else hold a large lease that others could overtake.
    for index in workers.indices { tell(.tick, worker: index) }
    while !isOver {
      // What is under way takes some time yet: what happens now comes first, and links are shared out once for all of it.
      if let next = queue.next, next <= clock, let happening = queue.take()?.element {
        happens(happening)
        continue
      }
      let (next, flow) = (queue.next, links.untilNext())
      invariant(next != nil || flow != nil, "step \(done) of a rehearsal waits for nothing")
      if let flow, next.map({ clock + flow <= $0 }) ?? true {
        clock += flow
        for errand in links.pass(flow) { arrived(errand) }
      } else if let next {
        for errand in links.pass(max(0, next - clock)) { arrived(errand) }
        clock = max(clock, next)
        if let happening = queue.take()?.element { happens(happening) }
      }
    }
    return summary()
  }

  mutating func after(_ seconds: Double, _ happening: Happening) { queue.add(happening, at: clock + seconds) }

  /// Bytes, and who sends them.
  typealias Part = (bytes: Double, from: LinkModel.Source)

  /// Has bytes sent, from several machines at once; `then` happens when all are there.
  mutating func send(_ parts: [Part], _ kind: Traffic, to: Int, then happening: Happening) {
    send([(kind, parts)], to: to, then: happening)
  }

  /// The same, of several kinds.
  mutating func send(_ loads: [(kind: Traffic, parts: [Part])], to: Int, then happening: Happening) {
    let flows = loads.flatMap { load in load.parts.filter { $0.bytes >= 1 }.map { (load.kind, $0) } }
    guard !flows.isEmpty else { return after(0, happening) }
    nextErrand += 1
    errands[nextErrand] = (flows.count, happening)
    for (kind, part) in flows { links.add(part.bytes, kind, from: part.from, to: to, errand: nextErrand) }
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
    case .welcomed(let index, let welcome): hear(.welcome(welcome), index)
    case .pulled(let index): pulled(index)
    case .averaged(let index): averaged(index)
    case .rowsComplete(let index): rowsComplete(index)
    case .gatheredAhead(let index):
      send(olderRowParts(index), .rows, to: machine(index), then: .fetchedAhead(index))
    case .fetchedAhead(let index):
      workers[index].ahead = .done
      if workers[index].isWaitingForAhead { averaged(index) }
    case .picturesHere(let index, let lease, let slice): after(sliceSeconds, .sliceDone(index, lease, slice))
    case .sliceDone(let index, let lease, let slice): sliceDone(index, lease, slice)
    case .added(let index, let lease, let isLast): added(index, lease, isLast: isLast)
    case .pushed(let index, let lease, let keepsGradient): pushed(index, lease, keepsGradient)
    case .checked(let index, let lease, let keepsGradient):
      if !keepsGradient { workers[index].buffers -= 1 }
      handle(.pushArrived(lease, .whole))
    case .partsHere(let window): partsHere(window)
    case .partsAdded(let window): partsAdded(window)
    case .sumsSent(let window): sumsSent(window)
    case .sumsTaken(let window): sumsTaken(window)
    case .updated: updated()
    case .probed(let address): handle(.probed(address, failure: nil))
    case .failed(let index): failed(index)
    case .nothing: break
    }
  }
}

// MARK: - The coordinator

extension StepSimulation {
  /// Gives it an event, and carries out what follows.
  mutating func handle(_ event: Event) {
    let now = Instant(nanoseconds: UInt64(clock * Self.coordinatorPace * 1e9))
    for effect in coordinator.handle(event, at: now) { carryOut(effect) }
  }

  private mutating func carryOut(_ effect: Effect) {
    switch effect {
    case .send(.welcome(let welcome), let peer): after(0, .welcomed(Worker.number(of: peer), welcome))
    case .send(let message, let peer): hear(message, Worker.number(of: peer))
    case .expectPush(let lease, _, _, let keepsGradient):
      guard !keepsGradient else { break }
      arriving.insert(lease)
      hold()
    case .abandonPush(let lease): if arriving.remove(lease) != nil { gradients -= 1 }
    case .accept(let lease, let finished):
      let isHere = arriving.remove(lease) != nil
      outcome.results += 1
      if !isHere { outcome.kept += 1 }
      // What has a hash is added up once all are in.
      if finished.gradient == nil { accept(finished.slices) }
    case .expectSums(let expected):
      outcome.reducers = max(outcome.reducers, expected.chunks.count)
      reduction.began = clock
      hold()
    case .startUpdate: startUpdate()
    case .probe(let address): after(0, .probed(address))
    case .hashWeights(let isHashing): self.isHashing = isHashing
    case .nameWeightSources(let sources, _):
      weightSources = sources.map(Worker.number(at:))
      weightGroup = links.group(weightSources.map(machine))
      outcome.weightSources = max(outcome.weightSources, sources.count)
    default: break
    }
  }

  private mutating func hold() {
    gradients += 1
    outcome.coordinatorGradients = max(outcome.coordinatorGradients, gradients)
  }

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
    let seconds =
      deployment.seconds(passingFloats: Double(definition.optimizer.rule.floatsPassedPerWeight) * floats)
      + (isHashing ? secondsOnAllCores(hashingFloats: floats) : 0)
    updateIsFreeAt = updateBegan + seconds
    outcome.updating += seconds
    after(updateIsFreeAt - clock, .updated)
  }

  private mutating func updated() {
    gradients = 0
    sum = TreeSum(tree: definition.tree)
    done += 1
    if warmUp != nil {
      outcome.leases += Double(workers.map(\.leases).max() ?? 0)
      let slowest = workers.max { $0.lastSlice < $1.lastSlice }
      if let slowest {
        outcome.phases.weights += slowest.weightsHere - stepBegan
        outcome.phases.rows += slowest.ready - slowest.weightsHere
        outcome.phases.slices += slowest.lastSlice - slowest.ready
        outcome.phases.gradients += (reduction.began ?? updateBegan) - slowest.lastSlice
        outcome.phases.reduce += reduction.began.map { updateBegan - $0 } ?? 0
        outcome.phases.update += clock - updateBegan
      }
    }
    recent = recent.suffix(2) + [clock - stepBegan]
    if warmUp == nil, done >= warmUpAtLeast, isSteady || done >= warmUpAtMost {
      warmUp = done
      countedFrom = clock
      linksBefore = links
      (outcome.computing, outcome.updating, outcome.results, outcome.kept) = (0, 0, 0, 0)
      if let loses { after((clock - stepBegan) / 2, .failed(loses)) }
    }
    stepBegan = clock
    reduction = StepReduction()
    for index in workers.indices { workers[index].leases = 0 }
    guard !isOver else { return }
    // The rows that shards copy, in the background.
    if deployment.shards > 0 {
      let record = Double(definition.extentLayout(run: Digest(high: 0, low: 0)).recordSize)
      let replicas = min(definition.configuration.memoryReplicas, deployment.shards)
      for _ in 0..<replicas {
        send(
          [(Double(definition.configuration.batchSize) * record, .machine(0))], .extents,
          to: 1 + deployment.workers + nextShard % deployment.shards, then: .nothing)
        nextShard += 1
      }
    }
    weightSources = []
    handle(.updateFinished(Self.version(done), isHashed: isHashing))
  }

  private func summary() -> Outcome {
    var outcome = outcome
    let (steps, seconds) = (Double(counted), clock - countedFrom)
    outcome.seconds = seconds / steps
    outcome.results /= steps
    outcome.kept /= steps
    outcome.leases /= steps
    outcome.computing /= seconds * Double(deployment.workers * deployment.threads)
    outcome.updating /= seconds
    outcome.phases /= steps
    outcome.links = links
    outcome.links.forget(linksBefore)
    outcome.workerBuffers = workers.map(\.buffersAtMost).max() ?? 0
    outcome.steps = counted
    outcome.warmUp = warmUp ?? 0
    return outcome
  }
}
