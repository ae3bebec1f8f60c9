import Coordination
import Messages
import Numerics
import Slices
import Synchronization
import Threads
import Training
import Vision

/// The threads that do a worker's work for one incarnation of a coordinator: leases come in, progress goes out.
///
///     preparation      weights and memory of a lease's step          (StepPreparation)
///     compute x T      slices; a lease's are added up as they come   (SliceComputer, WorkerLease)
///     push             granted payloads, one after the other         (BulkClient, one for them alone)
///     reduce           chunks of gradients that others keep          (WorkerReducer)
///     evaluate         now and then, the features of a sample        (TeacherEvaluation)
///
/// What becomes of a lease is decided by the `WorkerMachine`.
final class WorkerSession: Sendable {
  private let definition: RunDefinition
  private let incarnation: Incarnation
  private let clients: SourceClients
  private let bulk: BulkClient
  /// A connection of its own: what slices ask for would else wait behind a whole payload.
  private let payloads: BulkClient
  private let pictures: WorkerPictures
  private let rows: WorkerRows
  private let holders: RowHolders
  private let exchange: @Sendable (BulkClient) -> WeightsExchange
  /// Gradients that others may fetch.
  private let gradients: KeptGradients
  private let reducer: WorkerReducer
  private let report: @Sendable (WorkerProgress) -> Void
  /// Of weights and gradients, which have one size.
  private let parameters: SharedBufferPool
  private let evaluation: TeacherEvaluation
  private let prepared = BoundedQueue<Preparation>(capacity: WireLimits.heldLeases)
  private let tasks = BoundedQueue<SliceTask>(capacity: WireLimits.slicesPerStep)
  private let pushes = BoundedQueue<(lease: LeaseID, sum: SliceSum, keepsGradient: Bool)>(capacity: 1)
  /// Leases that are not forgotten.
  private let wanted = Mutex<[LeaseID: Wanted]>([:])
  private let clock = Mutex(SliceClock())

  private struct Wanted: Sendable {
    let step: Int
    /// Once it is computed.
    var sum: SliceSum?
  }

  private enum Preparation: Sendable {
    case lease(WorkerLease)
    case evaluation(Evaluate)
  }

  private struct SliceTask: Sendable {
    let work: WorkerLease
    let slice: Int
    let inputs: StepInputs
  }

  /// Starts the threads; they hold the session until `stop`.
  /// - Parameters:
  ///   - exchange: with other workers, of whom the coordinator's client asks; made in the thread that fetches.
  ///   - gradients: filled with those that others may fetch.
  ///   - connect: to another worker.
  ///   - connectForEvaluation: to the coordinator, once more, with the pictures that come over it.
  ///   - report: takes what becomes of leases, from any of the threads.
  /// - Throws: `NetworkError` for view sizes that the network cannot have.
  init(
    definition: RunDefinition, incarnation: Incarnation, clients: SourceClients, payloads: BulkClient,
    pictures: WorkerPictures, rows: WorkerRows, holders: RowHolders,
    exchange: @escaping @Sendable (BulkClient) -> WeightsExchange, gradients: KeptGradients,
    connect: @escaping @Sendable (BulkAddress) throws -> BulkClient,
    connectForEvaluation: @escaping @Sendable () throws -> (BulkClient, WorkerPictures), threads: Int,
    report: @escaping @Sendable (WorkerProgress) -> Void
  ) throws {
    self.definition = definition
    self.incarnation = incarnation
    self.clients = clients
    bulk = try clients.client(of: .coordinator)
    self.payloads = payloads
    self.holders = holders
    self.exchange = exchange
    self.gradients = gradients
    reducer = WorkerReducer(
      definition, coordinator: bulk, payloads: payloads, own: gradients, connect: connect
    ) { report(.reductionFailed($0)) }
    evaluation = TeacherEvaluation(definition, connect: connectForEvaluation, report: report)
    self.pictures = pictures
    self.rows = rows
    self.report = report
    parameters = SharedBufferPool(count: definition.layout.count)
    // The only reason why a thread's computer could not be made; asked here, where it can be said.
    try definition.architecture.checkSide(definition.configuration.localSize)
    startThread(named: "massl-prepare") { [self] in prepare() }
    startThread(named: "massl-push") { [self] in pushGranted() }
    for index in 0..<threads { startThread(named: "massl-slice-\(index)") { [self] in computeSlices(index) } }
  }

  /// Ends the threads, each after what it is at.
  func stop() {
    wanted.withLock { $0 = [:] }
    prepared.close()
    tasks.close()
    pushes.close()
    reducer.stop()
    evaluation.want(nil)
    gradients.forgetAll()
    clients.stop()
    payloads.stop()
  }
}

// MARK: - What to do

extension WorkerSession {
  func compute(_ lease: Lease) {
    wanted.withLock { $0[lease.lease] = Wanted(step: lease.step) }
    _ = prepared.tryAppend(.lease(WorkerLease(lease)))
  }

  /// Judges a teacher once its weights are here, beside all leases.
  func evaluate(_ evaluate: Evaluate) {
    evaluation.want(evaluate.lease)
    _ = prepared.tryAppend(.evaluation(evaluate))
  }

  func stopEvaluating() { evaluation.want(nil) }

  /// Lets a lease go; slices of it that wait are passed over.
  func forget(_ lease: LeaseID) {
    _ = wanted.withLock { $0.removeValue(forKey: lease) }
    gradients.forget(lease)
  }

  /// Adds these chunks up, and nothing that was asked for before any more.
  func reduce(_ reduction: Reduction) { reducer.add(reduction) }

  /// - Precondition: it is computed, and nothing else is being pushed.
  /// - Parameter keepsGradient: the gradient stays here.
  func push(_ lease: LeaseID, keepsGradient: Bool) {
    let sum = wanted.withLock { $0[lease]?.sum }
    let isTaken = sum.map { pushes.tryAppend((lease, $0, keepsGradient)) } ?? false
    invariant(isTaken, "lease \(lease.number) is pushed before it is computed, or beside another")
  }

  /// Whether a thread that computes does not come to an end.
  var isStuck: Bool { clock.withLock { $0.isStuck(at: .now) } }

  private func isWanted(_ lease: LeaseID) -> Bool { wanted.withLock { $0[lease] != nil } }

  private func isWanted(step: Int) -> Bool { wanted.withLock { $0.values.contains { $0.step == step } } }
}

// MARK: - Threads

extension WorkerSession {
  private func prepare() {
    let preparation = StepPreparation(
      definition: definition, incarnation: incarnation, bulk: bulk, exchange: exchange(bulk), rows: rows,
      holders: holders, parameters: parameters)
    defer { preparation.stop() }
    while let next = prepared.next() {
      switch next {
      case .lease(let work): prepare(work, preparation)
      case .evaluation(let evaluate):
        guard evaluation.isWanted(evaluate.lease) else { continue }
        do {
          evaluation.begin(evaluate, try preparation.teacher(ofStep: evaluate.step, digest: evaluate.teacher))
        } catch {
          evaluation.fail(evaluate, error)
        }
      }
    }
  }

  private func prepare(_ work: WorkerLease, _ preparation: StepPreparation) {
    let lease = work.lease
    do {
      guard isWanted(lease.lease) else { throw WorkerError.cancelled }
      let inputs = try preparation.inputs(for: lease) {
        guard isWanted(step: lease.step) else { throw WorkerError.cancelled }
      }
      for slice in lease.slices.indices { _ = tasks.append(SliceTask(work: work, slice: slice, inputs: inputs)) }
    } catch {
      report(.failed(Returned(lease.lease, because: error)))
      report(.slicesEnded(lease.lease, count: lease.slices.count))
    }
  }

  private func computeSlices(_ thread: Int) {
    // Made once before, in `init`: it does not throw here.
    guard let computer = try? SliceComputer(definition) else { return }
    while let task = tasks.next() {
      let lease = task.work.lease
      if isWanted(lease.lease) {
        clock.withLock { $0.begin(thread, at: .now) }
        defer { clock.withLock { $0.end(thread, at: .now) } }
        do {
          let lost = task.work.lost
          let fetched = try pictures.together(
            definition.pictures(step: lease.step, slice: task.slice).filter { !lost.contains($0) })
          let sum = try computer.compute(
            step: lease.step, slice: task.slice, student: task.inputs.student, teacher: task.inputs.teacher,
            blocks: task.inputs.blocks, into: parameters.take(), without: lost,
            bytes: { [pictures] in try fetched[$0] ?? pictures.bytes($0) })
          if let total = task.work.add(sum) { finish(total, of: lease, task.inputs) }
        } catch {
          report(.failed(Returned(lease.lease, because: error)))
        }
      }
      report(.slicesEnded(lease.lease, count: 1))
    }
  }

  private func finish(_ total: SliceSum, of lease: Lease, _ inputs: StepInputs) {
    let hashes = lease.hashesGradient ? total.gradientHashes : nil
    var finished = total.finished(lease: lease.lease, step: lease.step, hashes: hashes)
    finished.traffic = inputs.takeTraffic()
    // Before it is said, for it may be granted at once. Both at once, for else it might be forgotten in between.
    wanted.withLock { wanted in
      guard wanted[lease.lease] != nil else { return }
      wanted[lease.lease]?.sum = total
      guard let hashes else { return }
      gradients.put(
        KeptGradients.Gradient(step: lease.step, slices: lease.slices, floats: total.gradient, hashes: hashes),
        of: lease.lease)
    }
    report(.computed(finished))
  }

  private func pushGranted() {
    while let (lease, sum, keepsGradient) = pushes.next() {
      do {
        try payloads.push(gradient: sum.gradient, tail: sum.tail, lease: lease, keepsGradient: keepsGradient)
        report(.pushed(lease))
      } catch {
        report(.pushFailed(Returned(lease, because: error)))
      }
    }
  }
}

extension Returned {
  /// What is said of a lease that cannot be computed, or pushed.
  fileprivate init(_ lease: LeaseID, because error: any Error) {
    let isPassing = (error as? WorkerError)?.isPassing ?? (error as? BulkError)?.isPassing ?? false
    self.init(lease: lease, reason: "\(error)", isPassing: isPassing)
    if case VisionError.noneDecodes(let pictures) = error {
      undecodable = pictures.map { UndecodablePicture(picture: $0.index, reason: $0.reason) }
    }
  }
}
