import Configuration
import MemoryBank
import Numerics
import Optimization
import Training

/// What a run takes on given machines: bytes in every process, on every disk and link, the time of a step, and what is
/// used up first.
///
/// The memory is full of stored rows, nobody is slow, and every machine is alike.
public struct DeploymentPlan: Sendable, Encodable {
  /// Bytes, and what they are.
  public struct Share: Sendable, Equatable, Encodable {
    public let content: String
    public let bytes: Int
  }

  /// A process, or each of so many alike.
  public struct Process: Sendable, Encodable {
    public let name: String
    public let count: Int
    /// Resident, beside the program itself (some 40 MB).
    public let memory: [Share]
    public let disk: [Share]
    public let memoryBytes: Int
    public let diskBytes: Int

    init(_ name: String, count: Int = 1, memory: [Share], disk: [Share] = []) {
      (self.name, self.count) = (name, count)
      self.memory = memory.filter { $0.bytes > 0 }
      self.disk = disk.filter { $0.bytes > 0 }
      memoryBytes = memory.reduce(0) { $0 + $1.bytes }
      diskBytes = disk.reduce(0) { $0 + $1.bytes }
    }
  }

  /// What one machine sends to another, or writes to its disk, of one kind.
  public struct Link: Sendable, Encodable {
    public let from: String
    public let to: String
    public let content: String
    /// Links like this one.
    public let count: Int
    public let bytesPerStep: Double
    public let bytesPerSecond: Double
    public let requestsPerStep: Double
    public let requestsPerSecond: Double
  }

  /// How much of the time something is in use; at 1 nothing else makes steps shorter.
  public struct Use: Sendable, Encodable {
    public let resource: String
    public let share: Double
  }

  public struct Phases: Sendable, Encodable {
    /// Seconds of a step, one after the other, as its slowest worker has them.
    public let weights, rows, slices, gradients, reduce, update: Double
  }

  public let workers: Int
  public let threads: Int
  public let shards: Int
  public let linkBitsPerSecond: Double
  public let isEncrypted: Bool
  public let sgemmPerSecond: Double
  public let efficiency: Double
  public let copyBytesPerSecond: Double
  public let parameters: Int
  public let operationsPerImage: Double
  public let operationsPerStep: Double
  /// A slice is computed by one thread: no more than so many compute at once.
  public let slicesPerStep: Int
  public let stepSeconds: Double
  /// Of those, what audits take in the mean over steps with and without.
  public let auditSeconds: Double
  public let imagesPerSecond: Double
  /// If all threads did nothing but compute.
  public let imagesPerSecondOfComputing: Double
  public let phases: Phases
  /// Gradients of a step, of all workers.
  public let gradientsPerStep: Double
  /// Workers among which gradients stay and are added up; 0 if all are pushed to the coordinator.
  public let reducers: Int
  /// Rows in the memory; as many must have been enqueued before it is as planned.
  public let memoryRows: Int
  /// Rows of a step's blocks, in a worker, and the share of them that is in its cache.
  public let rowsPerStep: Double
  public let rowsFetchedPerStep: Double
  public let rowHitShare: Double
  /// The busiest first.
  public let uses: [Use]
  public let saturatesFirst: String
  public let processes: [Process]
  public let links: [Link]

  /// - Parameter definition: of the run; its pictures may be no more than a batch, for only schedules follow from them.
  /// - Precondition: the deployment's numbers are positive, its workers and shards within `WireLimits`.
  public init(_ definition: RunDefinition, on deployment: Deployment) {
    let sizes = DeploymentSizes(definition, deployment)
    let fetches = sizes.fetches
    let rehearsed = StepSimulation.run(definition, on: deployment, fetches)
    let operations = definition.operationsPerImage
    let batch = Double(definition.configuration.batchSize)

    workers = deployment.workers
    threads = deployment.threads
    shards = deployment.shards
    linkBitsPerSecond = deployment.linkBitsPerSecond
    isEncrypted = deployment.isEncrypted
    sgemmPerSecond = deployment.sgemmPerSecond
    efficiency = deployment.efficiency
    copyBytesPerSecond = deployment.copyBytesPerSecond
    parameters = definition.layout.count
    operationsPerImage = operations
    operationsPerStep = operations * batch
    slicesPerStep = definition.slices
    stepSeconds = rehearsed.seconds
    auditSeconds = rehearsed.auditSeconds
    imagesPerSecond = batch / rehearsed.seconds
    imagesPerSecondOfComputing =
      Double(deployment.workers) * deployment.sgemmPerSecond * deployment.efficiency / operations
    phases = Phases(
      weights: rehearsed.phases.weights, rows: rehearsed.phases.rows, slices: rehearsed.phases.slices,
      gradients: rehearsed.phases.gradients, reduce: rehearsed.phases.reduce, update: rehearsed.phases.update)
    gradientsPerStep = rehearsed.results
    reducers = rehearsed.reducers
    memoryRows = definition.configuration.memorySize
    rowsPerStep = fetches.drawn
    rowsFetchedPerStep = fetches.fetched
    rowHitShare = fetches.hitShare
    uses = Self.uses(rehearsed, deployment).sorted { $0.share > $1.share }
    saturatesFirst = uses[0].resource
    processes = sizes.processes(rehearsed)
    links = LinkLoads(definition, deployment, fetches, rehearsed, sizes).links
  }

  private static func uses(_ rehearsed: StepSimulation.Outcome, _ deployment: Deployment) -> [Use] {
    let seconds = rehearsed.seconds * Double(rehearsed.steps)
    let (out, into) = (rehearsed.links.carriedOut, rehearsed.links.carriedIn)
    let (workers, shards) = (1...deployment.workers, 1 + deployment.workers..<out.count)
    func most(_ seconds: some Sequence<Double>) -> Double { seconds.max() ?? 0 }
    var uses = [
      Use(resource: "the workers' threads", share: rehearsed.computing),
      Use(resource: "the coordinator's link out", share: out[0] / seconds),
      Use(resource: "the coordinator's link in", share: into[0] / seconds),
      Use(resource: "a worker's link in", share: most(into[workers]) / seconds),
      Use(resource: "a worker's link out", share: most(out[workers]) / seconds),
      Use(resource: "the coordinator's update", share: rehearsed.updating),
    ]
    if !shards.isEmpty {
      uses.append(Use(resource: "a shard's link out", share: most(out[shards]) / seconds))
      uses.append(Use(resource: "a shard's link in", share: most(into[shards]) / seconds))
    }
    return uses
  }
}
