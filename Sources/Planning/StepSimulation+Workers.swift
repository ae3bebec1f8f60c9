import Coordination
import Messages
import Numerics
import Slices
import Training

// The workers of a rehearsal: clocks around the machine of a real one.

extension StepSimulation {
  struct Work {
    let lease: Lease
    var sum: TreeSum<Int>
    var slicesLeft: Int
  }

  enum Ahead { case none, underWay, done }

  struct Worker {
    var machine: WorkerMachine
    var session = 0
    /// Leases from their beginning to their payload's arrival.
    var work: [LeaseID: Work] = [:]
    var toPrepare: [Lease] = []
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
    /// The newest rows came with the weights.
    var hasNewRows = false
    var tasks: [(lease: LeaseID, slice: Int)] = []
    var idle: Int
    /// Nobody hears it any more, nor does it hear anybody. Its threads and its link end what they had begun.
    var isGone = false
    /// Weights and gradients.
    var buffers = 0
    var buffersAtMost = 0
    /// Leases of the step.
    var leases = 0
    // Times of the step.
    var pullBegan = 0.0
    var weightsHere = 0.0
    var ready = 0.0
    var lastSlice = 0.0

    init(number: Int, threads: Int, probe: Digest) {
      let hello = Hello(
        protocolVersion: WireLimits.protocolVersion, name: "\(number)", threads: threads, probe: probe,
        address: Self.address(of: number))
      machine = WorkerMachine(
        WorkerMachine.Settings(hello: hello, peer: Self.peer(number), coordinator: "plan"),
        at: StepSimulation.noTime)
      idle = threads
    }

    static func peer(_ number: Int) -> PeerID { PeerID(rawValue: UInt64(number + 1)) }

    static func number(of peer: PeerID) -> Int { Int(peer.rawValue) - 1 }

    /// A host's name is its number.
    private static func address(of number: Int) -> BulkAddress? {
      (try? Endpoint("tcp://\(number):1")).map { BulkAddress(endpoint: $0) }
    }

    static func number(at address: BulkAddress) -> Int {
      guard let number = Int(address.endpoint.host) else {
        fatalError("invariant broken: \(address.endpoint) is no worker's")
      }
      return number
    }

    mutating func hold(_ count: Int) {
      buffers += count
      buffersAtMost = max(buffersAtMost, buffers)
    }
  }

  /// No word is lost here, so none has to be said again: no time passes for who says them.
  static let noTime = Instant(nanoseconds: 0)
}

// MARK: - The machine

extension StepSimulation {
  mutating func tell(_ event: WorkerEvent, worker index: Int) {
    for effect in workers[index].machine.handle(event, at: Self.noTime) { carryOut(effect, worker: index) }
  }

  mutating func failed(_ index: Int) {
    workers[index].isGone = true
    handle(.disconnected(Worker.peer(index)))
  }

  mutating func hear(_ message: CoordinatorMessage, _ index: Int) {
    guard !workers[index].isGone else { return }
    let sender = Sender(run: Self.identity, incarnation: Self.incarnation, peer: PeerID(rawValue: 0))
    tell(.received(message, from: sender), worker: index)
  }

  private mutating func tell(_ progress: WorkerProgress, _ index: Int) {
    tell(.work(progress, session: workers[index].session), worker: index)
  }

  private mutating func carryOut(_ effect: WorkerEffect, worker index: Int) {
    switch effect {
    case .say(let message, let sender): if !workers[index].isGone { handle(.message(message, from: sender)) }
    case .join(_, _, let session):
      workers[index].session = session
      tell(
        .joined(
          LeaseBounds(
            steps: Self.steps, tree: definition.tree, pictures: definition.pictures,
            parameters: definition.layout.count), gradientRoom: WireLimits.gradientsKept), worker: index)
    case .compute(let lease): take(lease, index)
    case .push(let lease, let keepsGradient): push(lease, keepsGradient, index)
    case .reduce(let asked): reduce(asked, index)
    case .forget(let lease): drop(lease, index)
    case .evaluate, .stopEvaluating, .leave, .log, .stop: break
    }
  }
}

// MARK: - Its threads

extension StepSimulation {
  func machine(_ index: Int) -> Int { 1 + index }

  private mutating func take(_ lease: Lease, _ index: Int) {
    workers[index].leases += 1
    workers[index].work[lease.lease] = Work(
      lease: lease, sum: TreeSum(tree: SliceTree(count: lease.slices.count)), slicesLeft: lease.slices.count)
    workers[index].toPrepare.append(lease)
    prepare(index)
  }

  private mutating func prepare(_ index: Int) {
    while !workers[index].isPreparing, let lease = workers[index].toPrepare.first {
      guard workers[index].work[lease.lease] != nil else {
        workers[index].toPrepare.removeFirst()
        tell(.slicesEnded(lease.lease, count: lease.slices.count), index)
        continue
      }
      guard lease.step != workers[index].step else {
        workers[index].toPrepare.removeFirst()
        workers[index].tasks += lease.slices.indices.map { (lease.lease, $0) }
        startSlices(index)
        continue
      }
      // The student takes the place of the one before, the teacher of none: the next follows from it.
      workers[index].isPreparing = true
      workers[index].preparing = lease.step
      workers[index].pullBegan = clock
      let follows = workers[index].teacher == lease.step - 1
      workers[index].hold(workers[index].step < 0 ? 2 : 1)
      let teacher: [Part] = [(follows ? 0 : 4 * floats, .machine(0))]
      workers[index].hasNewRows = lease.exchangesWeights && definition.drawsMostNewRows
      let newRows = workers[index].hasNewRows ? exchangedParts(Double(definition.newRowFloats), index) : []
      let student = lease.exchangesWeights ? exchangedParts(floats, index) : [(4 * floats, .machine(0))]
      send([(.weights, student + teacher), (.rows, newRows)], to: machine(index), then: .pulled(index))
    }
  }

  /// Who sends so many floats that workers fetch from each other, and how many bytes: a source asks the coordinator for its
  /// own chunks, which it passes on as they come.
  private func exchangedParts(_ floats: Double, _ index: Int) -> [Part] {
    let aSource = 4 * floats / Double(weightSources.count)
    let others = links.weight(of: weightGroup, to: machine(index))
    return [(aSource * others, weightGroup), (4 * floats - aSource * others, .machine(0))]
  }

  mutating func pulled(_ index: Int) {
    // Chunks of peers are hashed while others come. The average reads two and writes one; two digests.
    let hashing =
      weightSources.isEmpty ? 0 : secondsOnAllCores(hashingFloats: floats, from: weightSources.count)
    let hashed = max(clock, workers[index].pullBegan + hashing)
    after(hashed - clock + deployment.seconds(passingFloats: 5 * floats), .averaged(index))
  }

  mutating func averaged(_ index: Int) {
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
      send(newestRowParts(index), .rows, to: machine(index), then: .rowsComplete(index))
    case .done, .none:
      workers[index].isWaitingForAhead = false
      send(
        olderRowParts(index) + newestRowParts(index), .rows, to: machine(index), then: .rowsComplete(index))
    }
  }

  mutating func rowsComplete(_ index: Int) {
    workers[index].isPreparing = false
    workers[index].step = workers[index].preparing
    workers[index].ready = clock
    workers[index].aheadStep = workers[index].step + 1
    // Rows that are here are copied first, then the others asked for.
    workers[index].ahead = .underWay
    let copied = 2 * fetches.drawn * Double(definition.configuration.bottleneckDim)
    after(deployment.seconds(passingFloats: copied), .gatheredAhead(index))
    prepare(index)
  }

  private func newestRowParts(_ index: Int) -> [Part] {
    workers[index].hasNewRows ? [] : rowParts(fetches.newest, isNewest: true)
  }

  func olderRowParts(_ index: Int) -> [Part] {
    rowParts(workers[index].hasNewRows ? fetches.olderBesideNewRows : fetches.older)
  }

  /// Who sends so many rows, and how many bytes.
  private func rowParts(_ rows: Double, isNewest: Bool = false) -> [Part] {
    let rowSize = Double(definition.configuration.bottleneckDim * definition.rowType.bytes)
    let others = max(0, fetches.fromCoordinator - fetches.newest)
    let own = deployment.shards == 0 || isNewest ? rows : min(rows, others)
    let shards = 0..<deployment.shards
    return [(own * rowSize, .machine(0))]
      + shards.map { ((rows - own) * rowSize / Double(shards.count), .machine(1 + deployment.workers + $0)) }
  }

  private mutating func startSlices(_ index: Int) {
    while workers[index].idle > 0, !workers[index].tasks.isEmpty {
      let (lease, slice) = workers[index].tasks.removeFirst()
      guard let work = workers[index].work[lease] else {
        tell(.slicesEnded(lease, count: 1), index)
        continue
      }
      workers[index].idle -= 1
      workers[index].hold(1)
      let range = SliceRange(first: slice - work.lease.slices.first, count: 1)
      let pictures = Double(deployment.pictureBytes * definition.configuration.sliceSize)
      send([(pictures, .machine(0))], .pictures, to: machine(index), then: .picturesHere(index, lease, range))
    }
  }

  mutating func sliceDone(_ index: Int, _ id: LeaseID, _ slice: SliceRange) {
    outcome.computing += sliceSeconds
    guard var work = workers[index].work[id] else {
      workers[index].buffers -= 1
      return threadIsIdle(index, id)
    }
    var additions = 0
    work.sum.insert(0, at: slice) { left, _ in
      additions += 1
      return left
    }
    work.slicesLeft -= 1
    workers[index].work[id] = work
    workers[index].buffers -= additions
    // An addition reads two and writes one; the payload's digest reads it. A gradient that may stay here is hashed too.
    let isLast = work.slicesLeft == 0
    let passes = 3 * Double(additions) + (isLast ? 1 : 0)
    let hashing = isLast && work.lease.hashesGradient ? secondsOnAllCores(hashingFloats: floats) : 0
    after(deployment.seconds(passingFloats: passes * floats) + hashing, .added(index, id, isLast: isLast))
  }

  mutating func added(_ index: Int, _ id: LeaseID, isLast: Bool) {
    if isLast, let work = workers[index].work[id] {
      workers[index].lastSlice = clock
      tell(.computed(finished(work.lease)), index)
    }
    threadIsIdle(index, id)
  }

  private mutating func threadIsIdle(_ index: Int, _ id: LeaseID) {
    workers[index].idle += 1
    tell(.slicesEnded(id, count: 1), index)
    startSlices(index)
  }

  private func finished(_ lease: Lease) -> Finished {
    Finished(
      lease: lease.lease, step: lease.step, slices: lease.slices, payload: Digest(high: 2, low: 2),
      payloadCount: definition.payloadCount(slices: lease.slices.count),
      losses: lease.slices.indices.map { _ in SliceLoss(consistency: 0, koleo: 0, targetEntropy: 0) }, undecodable: [],
      gradient: lease.hashesGradient
        ? GradientIdentity(digest: Digest(high: 3, low: 3), hash: ContentHash(high: 3, low: 3)) : nil)
  }

  /// What was pushed whole is not here any more: it ends as it arrives.
  private mutating func drop(_ id: LeaseID, _ index: Int) {
    guard let work = workers[index].work.removeValue(forKey: id) else { return }
    workers[index].buffers -= work.sum.waitingNodes.count
  }

  private mutating func push(_ id: LeaseID, _ keepsGradient: Bool, _ index: Int) {
    guard let lease = workers[index].work[id]?.lease else { return }
    let payload = definition.payloadCount(slices: lease.slices.count)
    let pushed = Double(keepsGradient ? payload - definition.layout.count : payload)
    send(
      [(4 * pushed, .machine(machine(index)))], .gradients, to: 0,
      then: .pushed(index, id, keepsGradient: keepsGradient))
  }

  mutating func pushed(_ index: Int, _ id: LeaseID, _ keepsGradient: Bool) {
    if !keepsGradient { workers[index].work[id] = nil }
    // The coordinator reads it twice: for the digest, and for what is not finite.
    let read = keepsGradient ? 0 : 2 * floats
    after(deployment.seconds(passingFloats: read), .checked(index, id, keepsGradient: keepsGradient))
    tell(.pushed(id), index)
  }
}
