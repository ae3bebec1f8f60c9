import Coordination
import Synchronization
import Training
import Vision
import Wire

/// What a worker does for one incarnation of a coordinator: leases come in, results go out.
///
///     preparation      weights and memory of a lease's step          (StepPreparation)
///     compute x T      slices; a lease's are added up as they come   (SliceComputer, WorkerLease)
///     push             granted payloads, one after the other         (BulkClient, one for them alone)
///
/// A lease is computed, then announced, again and again until it is granted, then pushed. It may be cancelled at any
/// point; whatever goes wrong gives it back.
final class WorkerSession: Sendable {
  /// On every message of this session.
  let sender: Sender
  private let plan: RunPlan
  private let clients: SourceClients
  private let bulk: BulkClient
  /// A connection of its own: what slices ask for would else wait behind a whole payload.
  private let payloads: BulkClient
  private let pictures: WorkerPictures
  private let rows: WorkerRows
  private let holders: RowHolders
  private let threads: Int
  private let flipsBitEvery: Int?
  private let say: @Sendable (WorkerMessage, Sender) -> Void
  private let log: ServiceLog
  /// Of weights and gradients, which have one size.
  private let parameters: SharedBufferPool
  private let prepared = BoundedQueue<WorkerLease>(capacity: Wire.Limits.heldLeases)
  private let tasks = BoundedQueue<SliceTask>(capacity: Wire.Limits.slicesPerStep)
  private let pushes = BoundedQueue<(LeaseID, SliceSum)>(capacity: Wire.Limits.heldLeases)
  private let state = Mutex(State())

  private struct SliceTask: Sendable {
    let work: WorkerLease
    let slice: Int
    let inputs: StepInputs
  }

  private enum Phase: Sendable {
    case computing
    /// Waits for a grant.
    case announced(SliceSum, Finished)
    case pushing
  }

  private struct State: Sendable {
    var held: [LeaseID: Phase] = [:]
    /// Slices leased and not off their threads yet.
    var open = 0
    var computed = 0
    /// Leases given back, one after the other.
    var failures = 0
    /// Until then no work is asked for.
    var restsUntil = ContinuousClock.now
    var isStopped = false
    var givenBack = GatheredLines("leases were given back for now")
  }
  private let begun = ContinuousClock.now

  /// After the second lease in a row that was given back no work is asked for, for so long; after each further one twice
  /// as long, and at most for `longestRest`: what fails here may succeed elsewhere, or later.
  private static let rest = Duration.milliseconds(100)
  private static let longestRest = Duration.seconds(5)

  /// Starts the threads; they hold the session until `stop`.
  /// - Throws: `NetworkError` for view sizes that the network cannot have.
  init(
    plan: RunPlan, sender: Sender, clients: SourceClients, payloads: BulkClient, pictures: WorkerPictures,
    rows: WorkerRows,
    holders: RowHolders, threads: Int, flipsBitEvery: Int? = nil, log: @escaping ServiceLog,
    say: @escaping @Sendable (WorkerMessage, Sender) -> Void
  ) throws {
    self.plan = plan
    self.sender = sender
    self.clients = clients
    bulk = try clients.client(of: .coordinator)
    self.payloads = payloads
    self.holders = holders
    self.pictures = pictures
    self.rows = rows
    self.threads = threads
    self.flipsBitEvery = flipsBitEvery
    self.log = log
    self.say = say
    parameters = SharedBufferPool(count: plan.layout.count)
    // The only reason why a thread's computer could not be made; asked here, where it can be said.
    try plan.architecture.checkSide(plan.configuration.localSize)
    startThread(named: "massl-prepare") { [self] in prepare() }
    startThread(named: "massl-push") { [self] in pushGranted() }
    for index in 0..<threads { startThread(named: "massl-slice-\(index)") { [self] in computeSlices() } }
  }

  /// Ends the threads, each after what it is at; nothing is said any more.
  func stop() {
    state.withLock { state in
      state.held = [:]
      state.isStopped = true
    }
    prepared.close()
    tasks.close()
    pushes.close()
    clients.stop()
    payloads.stop()
  }
}

// MARK: - From the coordinator

extension WorkerSession {
  func take(_ lease: Lease) {
    do {
      try WorkerLease.check(lease, in: plan)
      let isNew = try state.withLock { state in
        guard state.held[lease.lease] == nil else { return false }
        guard state.held.count < Wire.Limits.heldLeases else {
          throw WorkerError.badLease("\(Wire.Limits.heldLeases) leases are held already")
        }
        state.held[lease.lease] = .computing
        state.open += lease.slices.count
        return true
      }
      if isNew { _ = prepared.tryAppend(WorkerLease(lease)) }
    } catch {
      giveBack(lease.lease, error)
    }
  }

  /// Drops a lease; slices of it that wait are passed over.
  func cancel(_ lease: LeaseID) { _ = forget(lease) }

  func push(_ lease: LeaseID) {
    let sum = state.withLock { state -> SliceSum? in
      guard case .announced(let sum, _) = state.held[lease] else { return nil }
      state.held[lease] = .pushing
      return sum
    }
    if let sum { _ = pushes.tryAppend((lease, sum)) }
  }
}

// MARK: - To the coordinator

extension WorkerSession {
  /// Asks for work, and is the heartbeat.
  func sayReady() {
    let ready = state.withLock { state in
      let isResting = state.failures > 1 && ContinuousClock.now < state.restsUntil
      return Ready(idleThreads: isResting ? 0 : max(0, threads - state.open), held: state.held.keys.sorted())
    }
    tell(.ready(ready))
  }

  /// Says again what was announced and is not granted: the word, or the grant, may be lost. In the order of the leases.
  func announceAgain() {
    let announced = state.withLock { state in
      state.held.keys.sorted().compactMap { lease -> Finished? in
        guard case .announced(_, let finished) = state.held[lease] else { return nil }
        return finished
      }
    }
    for finished in announced { tell(.finished(finished)) }
    let time = ContinuousClock.now - begun
    if let line = state.withLock({ $0.givenBack.rest(at: time) }) { log(.warning, line) }
  }

  /// A session that ended is silent: its words would be taken for those of the one that followed.
  private func tell(_ message: WorkerMessage) {
    if !state.withLock({ $0.isStopped }) { say(message, sender) }
  }

  private func giveBack(_ lease: LeaseID, _ error: any Error) {
    _ = forget(lease)
    let failures = state.withLock { state in
      // One that no worker could compute says nothing about this one.
      if case WorkerError.badLease = error { return 1 }
      state.failures += 1
      state.restsUntil = .now + min(Self.longestRest, Self.rest * (1 << min(16, max(0, state.failures - 2))))
      return state.failures
    }
    let isPassing = (error as? WorkerError)?.isPassing ?? false
    let line = "Gave lease \(lease.number) back\(failures == 1 ? "" : ", the last of \(failures) in a row"): \(error)."
    let time = ContinuousClock.now - begun
    // What may pass is said once in a while; else the first of a row, and fewer and fewer of those that follow.
    let said: String? =
      isPassing
      ? state.withLock { $0.givenBack.note(line, number: lease.number, at: time) }
      : failures.nonzeroBitCount == 1 ? line : nil
    if let said { log(.warning, said) }
    var returned = Returned(lease: lease, reason: "\(error)", isPassing: isPassing)
    if case VisionError.noneDecodes(let pictures) = error {
      returned.undecodable = pictures.map { UndecodablePicture(picture: $0.index, reason: $0.reason) }
    }
    tell(.returned(returned))
  }

  private func forget(_ lease: LeaseID) -> Bool { state.withLock { $0.held.removeValue(forKey: lease) } != nil }

  private func isWanted(_ lease: LeaseID) -> Bool { state.withLock { $0.held[lease] != nil } }
}

// MARK: - Threads

extension WorkerSession {
  private func prepare() {
    let preparation = StepPreparation(
      plan: plan, incarnation: sender.incarnation, bulk: bulk, rows: rows, holders: holders,
      parameters: parameters)
    defer { preparation.stop() }
    while let work = prepared.next() {
      let lease = work.lease
      do {
        guard isWanted(lease.lease) else { throw WorkerError.refused("the lease was cancelled") }
        let inputs = try preparation.inputs(for: lease)
        for slice in lease.slices.indices { _ = tasks.append(SliceTask(work: work, slice: slice, inputs: inputs)) }
      } catch {
        state.withLock { $0.open -= lease.slices.count }
        if isWanted(lease.lease) { giveBack(lease.lease, error) }
        sayReady()
      }
    }
  }

  private func computeSlices() {
    // Made once before, in `init`: it does not throw here.
    guard let computer = try? SliceComputer(plan) else { return }
    while let task = tasks.next() {
      let lease = task.work.lease
      if isWanted(lease.lease) {
        do {
          let lost = task.work.lost
          let fetched = try pictures.together(
            plan.pictures(step: lease.step, slice: task.slice).filter { !lost.contains($0) })
          let sum = try computer.compute(
            step: lease.step, slice: task.slice, student: task.inputs.student, teacher: task.inputs.teacher,
            blocks: task.inputs.blocks, into: parameters.take(), without: lost,
            bytes: { [pictures] in try fetched[$0] ?? pictures.bytes($0) })
          if let flipsBitEvery, flipsBit(every: flipsBitEvery) {
            let index = sum.gradient.count / 2
            // One that shows in any sum: the middle of the mantissa.
            sum.gradient[index] = Float(bitPattern: sum.gradient[index].bitPattern ^ 1 << 18)
          }
          if let total = task.work.add(sum) { announce(total, of: lease, task.inputs) }
        } catch {
          // Its first failure gives a lease back, not each of its slices.
          if isWanted(lease.lease) { giveBack(lease.lease, error) }
        }
      }
      state.withLock { $0.open -= 1 }
      sayReady()
    }
  }

  /// Whether it is this slice's turn to be wrong.
  private func flipsBit(every count: Int) -> Bool {
    state.withLock { state in
      state.computed += 1
      return state.computed.isMultiple(of: count)
    }
  }

  private func announce(_ total: SliceSum, of lease: Lease, _ inputs: StepInputs) {
    var finished = total.finished(lease: lease.lease, step: lease.step)
    finished.rows = inputs.takeTraffic()
    let isWanted = state.withLock { [finished] state in
      guard state.held[lease.lease] != nil else { return false }
      state.failures = 0
      state.held[lease.lease] = .announced(total, finished)
      return true
    }
    if isWanted { tell(.finished(finished)) }
  }

  private func pushGranted() {
    while let (lease, sum) = pushes.next() {
      guard isWanted(lease) else { continue }
      do {
        try payloads.push(gradient: sum.gradient, tail: sum.tail, lease: lease)
        _ = forget(lease)
      } catch {
        if isWanted(lease) { giveBack(lease, error) }
      }
    }
  }
}
