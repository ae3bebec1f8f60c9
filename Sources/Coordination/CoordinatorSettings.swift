import Messages
import Numerics

/// What a coordinator knows from its start on: the run, and how it is divided and kept.
public struct CoordinatorSettings: Sendable {
  public var run: RunIdentity
  public var incarnation: Incarnation
  public var compatibility: Compatibility
  /// What every worker is told when it is accepted; `data.count` is the size of the data set.
  public var welcome: Welcome
  public var shape: StepShape
  /// The run ends before this step.
  public var lastStep: Int
  public var checkpoints: CheckpointCadence
  /// Workers at once, at most `CoordinationLimits.peers`: fewer where the process may not have as many connections.
  public var peersAtMost: Int
  public var audits: AuditSettings
  /// Whether workers fetch a step's new weights from each other and add up its gradients, where two hosts can; nil: when
  /// that is faster.
  public var exchanges: Bool?
  /// Nil: the memory is the coordinator's alone, and memory shards are refused.
  public var memory: MemorySettings?
  public var pictures: PictureSettings
  /// Nil: no step is evaluated.
  public var evaluation: EvaluationSettings?

  public init(
    run: RunIdentity, incarnation: Incarnation, compatibility: Compatibility, welcome: Welcome, shape: StepShape,
    lastStep: Int, checkpoints: CheckpointCadence = CheckpointCadence(),
    peersAtMost: Int = CoordinationLimits.peers, audits: AuditSettings = AuditSettings(),
    exchanges: Bool? = nil, memory: MemorySettings? = nil, pictures: PictureSettings,
    evaluation: EvaluationSettings? = nil
  ) {
    self.run = run
    self.incarnation = incarnation
    self.compatibility = compatibility
    self.welcome = welcome
    self.shape = shape
    self.lastStep = lastStep
    self.checkpoints = checkpoints
    self.peersAtMost = peersAtMost
    self.audits = audits
    self.exchanges = exchanges
    self.memory = memory
    self.pictures = pictures
    self.evaluation = evaluation
  }
}

/// What a worker must have in common with the coordinator, so that both come to the same bits.
public struct Compatibility: Hashable, Sendable {
  /// The protocol that this coordinator speaks.
  public var protocolVersion: UInt32
  /// The digest of the probe slice in the run's class: this machine's own, or, where it cannot compute in that class, what
  /// the run's workers had before. Workers must have the same, unless `allowsMixed`; nil: the same as the first of them.
  public var probe: Digest?
  /// This machine computes in the run's class.
  public var computes: Bool
  /// This process's own; a refusal names them.
  public var libraries: LibraryVersions
  /// Accept workers of another compute class, and give up the promise of bits.
  public var allowsMixed: Bool

  public init(
    protocolVersion: UInt32, probe: Digest?, computes: Bool = true, libraries: LibraryVersions = LibraryVersions(),
    allowsMixed: Bool = false
  ) {
    self.protocolVersion = protocolVersion
    self.probe = probe
    self.computes = computes
    self.libraries = libraries
    self.allowsMixed = allowsMixed
  }
}

/// How a step is divided, and what a result of it has to hold.
public struct StepShape: Hashable, Sendable {
  /// Slices in a step, at least 1.
  public var slices: Int
  /// Floats in a lease's payload: the gradient's, once a lease.
  public var gradientCount: Int
  /// Floats in a lease's payload besides: rows and running statistics of one slice.
  public var floatsPerSlice: Int
  /// Slots of the memory that a result says of whether they were chosen.
  public var watchedSlots: Int

  public init(slices: Int, gradientCount: Int, floatsPerSlice: Int, watchedSlots: Int = 0) {
    self.slices = slices
    self.gradientCount = gradientCount
    self.floatsPerSlice = floatsPerSlice
    self.watchedSlots = watchedSlots
  }

  /// Floats in the payload of a lease of so many slices.
  func payloadCount(slices: Int) -> Int { gradientCount + slices * floatsPerSlice }
}
