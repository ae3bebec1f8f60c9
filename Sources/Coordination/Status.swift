import Numerics

/// What people and programs see of a coordinator. The process adds digests, loss and rates.
public struct Status: Hashable, Codable, Sendable {
  /// The step that is computed or updated.
  public var step: Int
  /// The run ends before this step.
  public var lastStep: Int
  /// "computing", "reducing", "updating", "concluding", "leaving" or "stopped".
  public var phase: String
  public var incarnation: UInt64
  public var slices: Int
  /// Slices of the step that are in.
  public var acceptedSlices: Int
  /// The step of the newest durable checkpoint.
  @OrNull public var durableStep: Int?
  @OrNull public var checkpointInFlight: Int?
  /// In the order of joining.
  public var workers: [Worker]
  /// Workers that give the step's weights to others; 0: all fetch them from the coordinator.
  public var weightSources: Int
  /// Workers that add up gradients in this step, or did in the one before; 0: the coordinator adds them up.
  public var reducers: Int
  /// Pictures in whose places others are: those that do not decode, as far as they were met, and those that the
  /// coordinator can no longer read.
  public var undecodablePictures: Int
  public var lostPictures: Int
  public var counts: Counts
  /// Hosts that gave wrong results, whose workers are refused.
  public var quarantined: [QuarantinedHost]
  /// Nil when the memory is the coordinator's alone.
  @OrNull public var memoryShards: MemoryStatus?

  public init(
    step: Int, lastStep: Int, phase: String, incarnation: UInt64, slices: Int, acceptedSlices: Int = 0,
    durableStep: Int?, checkpointInFlight: Int? = nil, workers: [Worker] = [], weightSources: Int = 0,
    reducers: Int = 0,
    undecodablePictures: Int = 0,
    lostPictures: Int = 0, counts: Counts = Counts(), quarantined: [QuarantinedHost] = [],
    memoryShards: MemoryStatus? = nil
  ) {
    self.step = step
    self.lastStep = lastStep
    self.phase = phase
    self.incarnation = incarnation
    self.slices = slices
    self.acceptedSlices = acceptedSlices
    self.durableStep = durableStep
    self.checkpointInFlight = checkpointInFlight
    self.workers = workers
    self.weightSources = weightSources
    self.reducers = reducers
    self.undecodablePictures = undecodablePictures
    self.lostPictures = lostPictures
    self.counts = counts
    self.quarantined = quarantined
    self.memoryShards = memoryShards
  }

  /// Without those that may come back, and count for nothing until they do.
  public var connectedWorkers: [Worker] { workers.filter(\.isConnected) }

  public struct Worker: Hashable, Codable, Sendable {
    /// As in the log: it tells workers of one name apart.
    public var fingerprint: String
    /// What it calls itself: its host and process, "lab7/4711".
    public var name: String
    public var host: String
    public var threads: Int
    public var idleThreads: Int
    public var leases: Int
    @OrNull public var slicesPerSecond: Double?
    public var acceptedSlices: Int
    /// Answers of its that were compared with another's, and are right.
    public var auditsPassed: Int
    /// Its probe is another one than the run's: `--allow-mixed` let it in.
    public var isOtherClass: Bool
    /// Payloads that it announced and did not deliver.
    public var undelivered: Int
    public var secondsSinceHeard: Double
    /// Of a worker that was killed this is false at once; it is forgotten when it was not heard for half a minute.
    public var isConnected: Bool
    /// Where it says that others may fetch weights from it; null where it gives none.
    @OrNull public var address: String?
    /// The coordinator had an answer from there; it asks once there are two hosts.
    public var isReached: Bool
    /// Gradients of the step that it keeps for others to fetch.
    public var keptGradients: Int
  }
}

/// How often something happened since the coordinator started.
public struct Counts: Hashable, Codable, Sendable {
  /// Leases whose payload counts.
  public var accepted = 0
  /// Answers that came again, or copies that were no longer wanted.
  public var duplicates = 0
  /// Results of leases that are no more.
  public var late = 0
  /// Leases that were overdue.
  public var expired = 0
  /// Leases that their worker never got or forgot.
  public var lost = 0
  /// Leases given back.
  public var returned = 0
  /// Payloads without their digest.
  public var damaged = 0
  /// Payloads that were announced and did not come, damaged ones among them.
  public var undelivered = 0
  /// Gradients that a worker kept, and that were lost with it.
  public var lostGradients = 0
  /// Gradients that a second worker had when the first lost them.
  public var savedGradients = 0
  /// Chunks of gradients that the coordinator added up because a worker did not.
  public var sumsTakenOver = 0
  /// Results that were not finite.
  public var notFinite = 0
  /// Messages that were refused, for whatever reason.
  public var refusals = 0
  /// Messages that could not be read or were out of bounds.
  public var malformed = 0
  /// Workers taken for gone.
  public var absent = 0
  /// Workers of another compute class that were accepted.
  public var otherClass = 0
  public var failedCheckpoints = 0
  /// Leases whose answer was compared before it counted.
  public var audited = 0
  /// Nodes that the coordinator itself was to compute.
  public var judged = 0
  /// Answers that were other than the right ones.
  public var wrong = 0
  /// Stored memory rows of workers' blocks that were in their caches, and that they fetched; how long steps waited for
  /// them, all workers' times added.
  public var rowsCached = 0
  public var rowsFetched = 0
  public var rowWaitSeconds = 0.0

  public init() {}
}

extension Coordinator {
  public func status(at time: Instant) -> Status {
    let time = max(now, time)
    return Status(
      step: step, lastStep: settings.lastStep, phase: phaseName, incarnation: settings.incarnation.number,
      slices: tree.count, acceptedSlices: current.slices.acceptedCount, durableStep: checkpoints.durableStep,
      checkpointInFlight: checkpoints.inFlight,
      workers: peers.map { peer in
        Status.Worker(
          fingerprint: peer.id.fingerprint, name: peer.name, host: peer.host, threads: peer.threads,
          idleThreads: peer.idleThreads, leases: peer.leases.count,
          slicesPerSecond: peer.pace.map { Double(peer.threads) / max($0 / .seconds(1), 1e-9) },
          acceptedSlices: peer.accepted, auditsPassed: peer.auditsPassed, isOtherClass: peer.isOtherClass,
          undelivered: peer.delivery.undelivered,
          secondsSinceHeard: (time - peer.heard) / .seconds(1), isConnected: peer.isConnected,
          address: peer.reach.address.map { "\($0.endpoint)" }, isReached: peer.reach.isReached,
          keptGradients: peer.kept.count)
      }, weightSources: current.weightSources ?? 0, reducers: exchange.reducers,
      undecodablePictures: pictures.undecodable.count, lostPictures: current.lost.count, counts: counts,
      quarantined: hosts.quarantined,
      memoryShards: memoryStatus(at: time))
  }

  private var phaseName: String {
    switch phase {
    case .computing: "computing"
    case .reducing: "reducing"
    case .updating: "updating"
    case .concluding: "concluding"
    case .leaving: "leaving"
    case .stopped: "stopped"
    }
  }
}
