import MemoryBank
import Messages
import Numerics
import Optimization
import Training

/// Bytes in the processes and on the disks of a deployment.
struct DeploymentSizes {
  let definition: RunDefinition
  let deployment: Deployment
  let layout: ExtentLayout
  /// Rows that a worker's cache has room for.
  let cachedRows: Int

  init(_ definition: RunDefinition, _ deployment: Deployment) {
    self.definition = definition
    self.deployment = deployment
    layout = definition.extentLayout(run: Digest(high: 0, low: 0))
    cachedRows = RowCache.capacity(
      memorySize: definition.configuration.memorySize, bytes: deployment.workerRowCache, rowSize: layout.rowSize)
  }

  /// Bytes of one set of weights, or a gradient.
  var weightBytes: Int { 4 * definition.layout.count }

  /// Student, teacher and the optimizer's moments.
  var versionBytes: Int { (2 + definition.optimizer.rule.momentNames.count) * weightBytes }

  /// Tensors of a checkpoint's three files.
  var checkpointBytes: Int { versionBytes + 2 * 4 * definition.statisticsLayout.count }

  /// Steps from one checkpoint to the next, at this pace; nil if none is written before the end.
  func checkpointSteps(stepSeconds: Double) -> Double? {
    let configuration = definition.configuration
    let bySteps = configuration.checkpointEverySteps > 0 ? Double(configuration.checkpointEverySteps) : nil
    let byTime =
      configuration.checkpointEveryMinutes > 0
      ? max(1, configuration.checkpointEveryMinutes * 60 / stepSeconds) : nil
    return [bySteps, byTime].compactMap { $0 }.min()
  }

  /// Of the newest rows, how many only the coordinator has, on the mean: half an extent, for it is copied once it is
  /// whole and a checkpoint has made it durable.
  var unsealedRows: Double { Double(layout.capacity) / 2 }

  /// Rows that a worker fetches.
  var fetches: ExpectedFetches {
    ExpectedFetches(definition, cacheRows: cachedRows, unsealed: deployment.shards == 0 ? nil : unsealedRows)
  }

  private func extents(holding rows: Int) -> Int { (rows + layout.capacity - 1) / layout.capacity + 1 }
}

// MARK: - Processes

extension DeploymentSizes {
  func processes(_ rehearsed: StepSimulation.Outcome) -> [DeploymentPlan.Process] {
    [coordinator(rehearsed), worker(rehearsed)] + (deployment.shards > 0 ? [shard(rehearsed)] : [])
  }

  /// Rows that checkpoints keep beyond those in the memory.
  private func rowsOfCheckpoints(_ rehearsed: StepSimulation.Outcome) -> Int {
    let steps = checkpointSteps(stepSeconds: rehearsed.seconds) ?? 0
    return Int(steps * Double(definition.configuration.batchSize * definition.configuration.keepCheckpoints))
  }

  private func coordinator(_ rehearsed: StepSimulation.Outcome) -> DeploymentPlan.Process {
    let configuration = definition.configuration
    let cached = min(configuration.memorySize, deployment.coordinatorRowCache / layout.rowSize)
    let rows = rowsOfCheckpoints(rehearsed)
    // Shards let go of by the coordinator what no start from a kept checkpoint appends to.
    let local = extents(holding: deployment.shards > 0 ? rows : configuration.memorySize + rows)
    let recomputation = definition.workFloats + 2 * blockFloats + 2 * definition.roundedWeightFloats
    return DeploymentPlan.Process(
      "coordinator",
      memory: [
        .init(content: "student, teacher and optimizer's moments", bytes: versionBytes),
        .init(content: "the next one's place", bytes: versionBytes),
        .init(content: "a version that is being checkpointed", bytes: versionBytes),
        .init(
          content: "gradients on their way and in the tree's sum", bytes: rehearsed.coordinatorGradients * weightBytes),
        .init(content: "new rows and statistics", bytes: 3 * 4 * definition.slices * definition.floatsPerSlice),
        .init(content: "row cache", bytes: cached * layout.rowSize),
        .init(
          content: "pictures between chunks",
          bytes: deployment.pictureBytes > 0 ? WireLimits.pictureBytesKept : 0),
        .init(
          content: "recomputing an audited node, while it does",
          bytes: configuration.auditRate > 0 ? 4 * recomputation : 0),
      ],
      disk: [
        .init(
          content: "checkpoints: \(configuration.keepCheckpoints) kept, and the one being written",
          bytes: (configuration.keepCheckpoints + 1) * checkpointBytes),
        .init(content: "rows", bytes: local * layout.fileSize),
      ])
  }

  private var blockFloats: Int {
    definition.configuration.blocksUsed * definition.configuration.blockSize * definition.configuration.bottleneckDim
  }

  private func worker(_ rehearsed: StepSimulation.Outcome) -> DeploymentPlan.Process {
    // Of weights no more are under way than there are.
    let chunks = WireLimits.weightChunks(ofFloats: definition.layout.count)
    let window = WireLimits.requestsUnderWay
    let fetched = min(chunks, window * max(0, rehearsed.weightSources - 1))
    let frames = window * (1 + deployment.shards) + fetched
    let given = min(WireLimits.weightFramesAnswered, window * (deployment.workers - 1))
    return DeploymentPlan.Process(
      "worker", count: deployment.workers,
      memory: [
        .init(
          content: "weights and gradients",
          bytes: rehearsed.workerBuffers * weightBytes + 2 * 4 * definition.roundedWeightFloats),
        .init(
          content: "work memory of \(deployment.threads) threads", bytes: deployment.threads * 4 * definition.workFloats
        ),
        .init(content: "blocks of this step and the next", bytes: 2 * 4 * blockFloats),
        .init(content: "row cache", bytes: cachedRows * (layout.rowSize + RowCache.bookkeeping)),
        .init(content: "frames that arrive", bytes: frames * WireLimits.bulkBytes),
        .init(
          content: "weights and gradients on their way to other workers",
          bytes: rehearsed.weightSources > 0 ? given * WireLimits.bulkBytes : 0),
        .init(
          content: "chunks of gradients that arrive and are added up",
          bytes: rehearsed.reducers > 0 ? 2 * reducingBytes(rehearsed) : 0),
      ])
  }

  /// Chunks that a reducer pulls together: a window of so many bytes, but one chunk of every gradient at least.
  private func reducingBytes(_ rehearsed: StepSimulation.Outcome) -> Int {
    let aChunk =
      Int(rehearsed.results.rounded(.up)) * WireLimits.gradientChunkFloats * MemoryLayout<Float>.stride
    let chunks = GradientChunk.count(ofFloats: definition.layout.count)
    let own = (chunks + rehearsed.reducers - 1) / rehearsed.reducers
    return aChunk * min(own, max(1, WireLimits.gradientBytesPulled / aChunk))
  }

  private func shard(_ rehearsed: StepSimulation.Outcome) -> DeploymentPlan.Process {
    let replicas = min(definition.configuration.memoryReplicas, deployment.shards)
    let all = extents(holding: definition.configuration.memorySize + rowsOfCheckpoints(rehearsed)) * replicas
    let frames = min(WireLimits.framesAnswered, deployment.workers * WireLimits.requestsUnderWay)
    return DeploymentPlan.Process(
      "shard", count: deployment.shards,
      memory: [.init(content: "frames that leave", bytes: frames * WireLimits.bulkBytes)],
      disk: [
        .init(
          content: "rows, \(replicas) of each",
          bytes: (all + deployment.shards - 1) / deployment.shards * layout.fileSize)
      ])
  }
}
