import Configuration
import Coordination
import Foundation
import Numerics
import Synchronization
import Training
import Vision
import Wire

/// What a worker is started with.
public struct WorkerOptions: Sendable {
  public var coordinator: Endpoint
  /// A folder with the run's pictures, if this machine has one.
  public var data: String?
  /// Slices computed at once, 1...1024.
  public var threads: Int
  public var security: Security<ClientKeys>
  public var probe: Digest
  /// For people.
  public var name: String

  public init(
    coordinator: Endpoint, data: String?, threads: Int, security: Security<ClientKeys>, probe: Digest, name: String
  ) {
    self.coordinator = coordinator
    self.data = data
    self.threads = threads
    self.security = security
    self.probe = probe
    self.name = name
  }
}

/// A worker: owns nothing, asks for slices, computes them, pushes their sums.
///
///     control thread   hello, ready every second, leases, grants      (this class's state, under one lock)
///     preparation      weights and memory of a lease's step           (StepPreparation)
///     compute x T      slices; the lease's tree is added up as they come
///     push             granted payloads, one after the other
public final class WorkerService: Sendable {
  /// How a worker's work ended.
  public enum Outcome: Sendable, Equatable {
    /// The run is over.
    case finished
    /// It was asked to stop.
    case stopped
  }

  private let options: WorkerOptions
  private let log: ServiceLog
  private let context: Context
  private let peer = PeerID.random()
  private let local: DataSet?
  private let outcome = BoundedQueue<Result<Outcome, WorkerError>>(capacity: 1)
  private let state = Mutex(State())

  private struct State: Sendable {
    var control: SocketThread?
    /// From the welcome on.
    var session: Session?
    var silentSince = ContinuousClock.now
    var complainAt = ContinuousClock.now + .seconds(3)
  }

  /// - Throws: `VisionError` when there are no pictures in the folder given, `WireError` when ZeroMQ cannot start.
  public init(_ options: WorkerOptions, log: @escaping ServiceLog) throws {
    self.options = options
    self.log = log
    local = try options.data.map { try DataSet(root: $0) }
    context = try Context()
  }

  /// Works until the run is over or `requestStop` is called.
  /// - Throws: `WorkerError.turnedAway`.
  public func run() throws -> Outcome {
    let socket = try DealerSocket(
      in: context, as: peer, connectingTo: options.coordinator, for: .control, security: options.security)
    let thread = try SocketThread(named: "massl-control", owning: socket, outboxCapacity: 256, tick: .milliseconds(500))
    {
      [self] event, _ in handle(event)
    }
    state.withLock { $0.control = thread }
    let result = outcome.next() ?? .success(.stopped)
    let session = state.withLock { $0.session }
    session?.stop()
    say(.goodbye, session)
    thread.stop()
    state.withLock { state in
      state.control = nil
      state.session = nil
    }
    return try result.get()
  }

  /// Leaves: leases go back to the coordinator; from any thread.
  public func requestStop() { _ = outcome.tryAppend(.success(.stopped)) }
}

// MARK: - Control

extension WorkerService {
  private func handle(_ event: SocketEvent) {
    switch event {
    case .received(.message(let incoming)):
      guard case .coordinator(let message) = incoming.envelope.message else { return }
      state.withLock { state in
        state.silentSince = .now
        state.complainAt = .now + .seconds(30)
      }
      receive(message, from: incoming.envelope.sender)
    case .received(.malformed(_, let error)): log(.warning, "\(error)")
    case .undelivered: break
    case .tick: tick()
    case .failed(let error):
      _ = outcome.tryAppend(
        .failure(.turnedAway(coordinator: "\(options.coordinator)", reason: "\(error)")))
    }
  }

  private func tick() {
    let (session, silence) = state.withLock { state -> (Session?, Duration?) in
      guard ContinuousClock.now >= state.complainAt else { return (state.session, nil) }
      state.complainAt = .now + .seconds(30)
      return (state.session, .now - state.silentSince)
    }
    if let silence {
      log(
        .warning,
        "No answer from the coordinator at \(options.coordinator) for \(silence.components.seconds) s; still trying.")
    }
    guard let session else { return hello() }
    say(.ready(session.ready), session)
    // A `finished` may have been lost; a result that was granted meanwhile is told apart by the coordinator.
    for finished in session.waitingForGrant { say(.finished(finished), session) }
  }

  private func hello() {
    say(
      .hello(
        Hello(
          protocolVersion: Wire.Limits.protocolVersion, name: options.name, threads: options.threads,
          probe: options.probe)),
      nil)
  }

  fileprivate func say(_ message: WorkerMessage, _ session: Session?) {
    let sender =
      session?.sender
      ?? Sender(run: RunIdentity(high: 0, low: 0), incarnation: Incarnation(0), peer: peer)
    _ = state.withLock { $0.control }?.send(Outgoing(Envelope(sender: sender, message: .worker(message))))
  }

  private func receive(_ message: CoordinatorMessage, from sender: Sender) {
    let session = state.withLock { $0.session }
    switch message {
    case .welcome(let welcome):
      // A welcome comes again when a hello was sent twice.
      if session?.sender.incarnation == sender.incarnation, session?.sender.run == sender.run { return }
      session?.stop()
      join(welcome, as: Sender(run: sender.run, incarnation: sender.incarnation, peer: peer))
    case .refusal(let refusal): refused(refusal, session)
    case .lease(let lease): session?.take(lease)
    case .grant(let lease): session?.push(lease)
    case .cancel(let lease): session?.cancel(lease)
    case .finished: _ = outcome.tryAppend(.success(.finished))
    case .heartbeat, .status: break
    }
  }

  private func join(_ welcome: Welcome, as sender: Sender) {
    do {
      let layer = try ConfigurationLayer(recipe: welcome.configuration, file: "the coordinator's configuration")
      let plan = try RunPlan(
        configuration: RunConfiguration(layers: [layer]), pictures: welcome.data.count)
      let bulk = try BulkClient(
        context: context, sender: sender, endpoint: options.coordinator.withPort(welcome.bulkPort),
        security: options.security)
      let session = try Session(
        service: self, plan: plan, sender: sender, bulk: bulk,
        pictures: WorkerPictures(bulk: bulk, local: local, count: welcome.data.count), threads: options.threads,
        log: log)
      state.withLock { $0.session = session }
      log(.info, "Joined the run at \(options.coordinator), incarnation \(sender.incarnation.number).")
      say(.ready(session.ready), session)
    } catch {
      _ = outcome.tryAppend(
        .failure(.turnedAway(coordinator: "\(options.coordinator)", reason: "its run cannot be joined: \(error)")))
    }
  }

  private func refused(_ refusal: Refusal, _ session: Session?) {
    switch refusal.reason {
    case .unknownPeer, .otherRun:
      state.withLock { $0.session = nil }
      session?.stop()
      log(.info, "\(refusal.text) Saying hello again.")
      hello()
    // The next tick says hello again.
    case .malformed, .tooManyPeers: log(.warning, refusal.text)
    case .protocolVersion, .computeClass:
      _ = outcome.tryAppend(
        .failure(.turnedAway(coordinator: "\(options.coordinator)", reason: refusal.text)))
    }
  }
}

// MARK: - One incarnation's work

/// What a worker does for one incarnation of a coordinator; a new one starts from nothing.
private final class Session: Sendable {
  let sender: Sender
  /// Held: a slice may still be computed when `run` has returned.
  private let service: WorkerService
  private let plan: RunPlan
  private let bulk: BulkClient
  private let pictures: WorkerPictures
  private let threads: Int
  private let log: ServiceLog
  /// Leases to prepare, slices to compute, payloads to push; bounded by what the coordinator leases a worker.
  private let leases = BoundedQueue<Lease>(capacity: Wire.Limits.heldLeases)
  private let tasks = BoundedQueue<SliceTask>(capacity: Wire.Limits.slicesPerStep)
  private let pushes = BoundedQueue<LeaseID>(capacity: Wire.Limits.heldLeases)
  private let state = Mutex(State())

  private struct SliceTask: Sendable {
    let job: Job
    let slice: Int
    let inputs: StepInputs
  }

  /// A lease that is worked on: its slices are added up along its own tree, which is a subtree of the step's.
  private final class Job: Sendable {
    let lease: Lease
    let sum: Mutex<TreeSum<SliceSum>>
    init(_ lease: Lease) {
      self.lease = lease
      sum = Mutex(TreeSum(tree: SliceTree(count: lease.slices.count)))
    }
  }

  private struct State: Sendable {
    var jobs: [LeaseID: Job] = [:]
    var results: [LeaseID: SliceSum] = [:]
    /// Results that were announced and not granted yet.
    var announced: [LeaseID: Finished] = [:]
    /// Slices leased and not computed yet.
    var open = 0
    var spare: [FloatBuffer] = []
  }

  init(
    service: WorkerService, plan: RunPlan, sender: Sender, bulk: BulkClient, pictures: WorkerPictures, threads: Int,
    log: @escaping ServiceLog
  ) throws {
    self.service = service
    self.plan = plan
    self.sender = sender
    self.bulk = bulk
    self.pictures = pictures
    self.threads = threads
    self.log = log
    // The only reason why a thread's computer could not be made; asked here, where it can be said.
    try plan.architecture.checkSide(plan.configuration.localSize)
    startThread(named: "massl-prepare") { [self] in prepare() }
    startThread(named: "massl-push") { [self] in pushGranted() }
    for index in 0..<threads { startThread(named: "massl-slice-\(index)") { [self] in computeSlices() } }
  }

  func stop() {
    leases.close()
    tasks.close()
    pushes.close()
    bulk.stop()
  }

  var ready: Ready {
    state.withLock { state in
      Ready(idleThreads: max(0, threads - state.open), held: state.jobs.keys.sorted())
    }
  }

  func take(_ lease: Lease) {
    guard lease.slices.first >= 0, lease.slices.indices.upperBound <= plan.slices else { return }
    state.withLock { state in
      state.jobs[lease.lease] = Job(lease)
      state.open += lease.slices.count
    }
    _ = leases.tryAppend(lease)
  }

  func cancel(_ lease: LeaseID) { forget(lease) }

  func push(_ lease: LeaseID) {
    guard state.withLock({ $0.announced.removeValue(forKey: lease) }) != nil else { return }
    _ = pushes.tryAppend(lease)
  }

  /// In the order of the leases.
  var waitingForGrant: [Finished] {
    state.withLock { state in state.announced.keys.sorted().compactMap { state.announced[$0] } }
  }

  /// Drops a lease; slices of it that wait are passed over.
  private func forget(_ lease: LeaseID) {
    state.withLock { state in
      state.jobs[lease] = nil
      let isUnsent = state.announced.removeValue(forKey: lease) != nil
      // Once granted, libzmq may still read the gradient: it is left to it, not used again.
      if let sum = state.results.removeValue(forKey: lease), isUnsent { state.spare.append(sum.gradient) }
    }
  }

  private func giveBack(_ lease: LeaseID, _ error: any Error) {
    forget(lease)
    service.say(.returned(Returned(lease: lease, reason: "\(error)")), self)
    log(.warning, "Gave lease \(lease.number) back: \(error).")
  }

  private func isWanted(_ lease: LeaseID) -> Bool { state.withLock { $0.jobs[lease] != nil } }

  private func prepare() {
    let preparation = StepPreparation(plan: plan, bulk: bulk)
    while let lease = leases.next() {
      let job = state.withLock { $0.jobs[lease.lease] }
      do {
        guard let job else { throw WorkerError.refused("the lease was cancelled") }
        let inputs = try preparation.inputs(for: lease)
        for slice in lease.slices.indices { _ = tasks.append(SliceTask(job: job, slice: slice, inputs: inputs)) }
      } catch {
        state.withLock { $0.open -= lease.slices.count }
        if job != nil { giveBack(lease.lease, error) }
        service.say(.ready(ready), self)
      }
    }
  }

  private func computeSlices() {
    // Made once before, in `init`: it does not throw here.
    guard let computer = try? SliceComputer(plan) else { return }
    while let task = tasks.next() {
      let lease = task.job.lease
      if isWanted(lease.lease) {
        do {
          let gradient = state.withLock { $0.spare.popLast() } ?? FloatBuffer(count: plan.layout.count)
          let sum = try computer.compute(
            step: lease.step, slice: task.slice, student: task.inputs.student, teacher: task.inputs.teacher,
            blocks: task.inputs.blocks, into: gradient, bytes: pictures.bytes)
          add(sum, to: task.job)
        } catch { giveBack(lease.lease, error) }
      }
      state.withLock { $0.open -= 1 }
      service.say(.ready(ready), self)
    }
  }

  private func add(_ sum: SliceSum, to job: Job) {
    let lease = job.lease
    let place = SliceRange(first: sum.slices.first - lease.slices.first, count: 1)
    let total = job.sum.withLock { tree in
      tree.insert(sum, at: place) { left, right in
        let both = SliceSum.adding(left, right)
        state.withLock { $0.spare.append(right.gradient) }
        return both
      }
      return tree.total
    }
    guard let total, isWanted(lease.lease) else { return }
    let finished = Finished(
      lease: lease.lease, step: lease.step, slices: lease.slices, payload: total.payloadDigest,
      payloadCount: total.payloadCount, losses: total.losses, undecodable: total.undecodable)
    state.withLock { state in
      state.results[lease.lease] = total
      state.announced[lease.lease] = finished
    }
    service.say(.finished(finished), self)
  }

  private func pushGranted() {
    while let lease = pushes.next() {
      guard let sum = state.withLock({ $0.results[lease] }) else { continue }
      do {
        try bulk.push(gradient: sum.gradient, tail: sum.tail, lease: lease)
      } catch {
        service.say(.returned(Returned(lease: lease, reason: "\(error)")), self)
        log(.warning, "Pushing lease \(lease.number): \(error).")
      }
      // Zero-copy frames may still read the gradient, so it is left to them, not used again.
      state.withLock { state in
        state.jobs[lease] = nil
        state.results[lease] = nil
      }
    }
  }
}
