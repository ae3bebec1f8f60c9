import Messages
import Numerics
import Training

/// Bytes and requests on every link, and to the coordinator's disk, as a rehearsal had them.
struct LinkLoads {
  private(set) var links: [DeploymentPlan.Link] = []
  private let rehearsed: StepSimulation.Outcome

  init(
    _ definition: RunDefinition, _ deployment: Deployment, _ fetches: ExpectedFetches,
    _ rehearsed: StepSimulation.Outcome,
    _ sizes: DeploymentSizes
  ) {
    self.rehearsed = rehearsed
    let (configuration, workers, shards) = (definition.configuration, deployment.workers, deployment.shards)
    let (sent, received) = (rehearsed.links.sent, rehearsed.links.received)
    let steps = Double(rehearsed.steps)
    func mean(_ machines: [[Traffic: Double]], _ of: Range<Int>, _ kind: Traffic) -> Double {
      of.isEmpty ? 0 : of.reduce(0) { $0 + machines[$1][kind, default: 0] } / Double(of.count) / steps
    }
    let (ofWorkers, ofShards) = (1..<1 + workers, 1 + workers..<1 + workers + shards)
    let chunks = Double(WireLimits.frames(ofFloats: definition.layout.count))

    // 1. Weights and gradients. A worker without slices pulls nothing.
    let pulled =
      rehearsed.weightSources > 0 ? Double(WireLimits.weightChunks(ofFloats: definition.layout.count)) : chunks
    func requests(_ weights: Double) -> Double { weights / Double(sizes.weightBytes) * pulled }
    let weights = sent[0][.weights, default: 0] / Double(workers) / steps
    add("coordinator", "each worker", "weights", workers, weights, requests: requests(weights))
    let exchanged = mean(sent, ofWorkers, .weights)
    add("each worker", "other workers", "weights", workers, exchanged, requests: requests(exchanged))
    let gradients = mean(sent, ofWorkers, .gradients)
    // Whole payloads, or tails alone and each chunk's sum once.
    let tail = Double(WireLimits.frames(ofFloats: definition.floatsPerSlice))
    let whole = (rehearsed.results - rehearsed.kept) * (chunks + 1)
    let pieces = Double(GradientChunk.count(ofFloats: definition.layout.count))
    let sums = rehearsed.kept > 0 ? rehearsed.kept * tail + pieces : 0
    add(
      "each worker", "coordinator", "gradients and new rows", workers, gradients,
      requests: (whole + sums) / Double(workers))
    let pieceBytes = Double(WireLimits.gradientChunkFloats * MemoryLayout<Float>.stride)
    let parts = mean(sent, ofWorkers, .parts)
    add("each worker", "other workers", "gradients", workers, parts, requests: parts / pieceBytes)
    let held = sent[0][.parts, default: 0] / Double(workers) / steps
    add("coordinator", "each worker", "gradients", workers, held, requests: held / pieceBytes)
    // 2. Rows.
    let fromCoordinator = sent[0][.rows, default: 0] / Double(workers) / steps
    add(
      "coordinator", "each worker", "memory rows", workers, fromCoordinator,
      requests: Self.requests(fromCoordinator, definition, sizes, calls: 2))
    let given = mean(sent, ofWorkers, .rows)
    let rowFrames = Double(WireLimits.frames(ofFloats: definition.newRowFloats))
    add(
      "each worker", "other workers", "memory rows", workers, given,
      requests: given / Double(4 * definition.newRowFloats) * rowFrames)
    if shards > 0 {
      let fromShard = mean(sent, ofShards, .rows)
      add(
        "each shard", "all workers", "memory rows", shards, fromShard,
        requests: Double(workers) * Self.requests(fromShard / Double(workers), definition, sizes, calls: 1))
      let copied = mean(received, ofShards, .extents)
      add(
        "coordinator, shards", "each shard", "whole extents", shards, copied,
        requests: copied / Double(WireLimits.bulkBytes))
    }
    // 3. Pictures.
    if deployment.pictureBytes > 0 {
      let pictures = mean(received, ofWorkers, .pictures)
      let frames = (deployment.pictureBytes + WireLimits.bulkBytes - 1) / WireLimits.bulkBytes
      add(
        "coordinator", "each worker", "pictures", workers, pictures,
        requests: pictures / Double(deployment.pictureBytes) * Double(frames))
    }
    // 4. The disk.
    let rows = Double(configuration.batchSize * sizes.layout.recordSize)
    add("coordinator", "its disk", "new rows", 1, rows, requests: 1)
    if let every = sizes.checkpointSteps(stepSeconds: rehearsed.seconds) {
      add("coordinator", "its disk", "checkpoints", 1, Double(sizes.checkpointBytes) / every, requests: 1 / every)
    }
  }

  private mutating func add(
    _ from: String, _ to: String, _ content: String, _ count: Int, _ bytes: Double, requests: Double
  ) {
    guard bytes >= 1 else { return }
    links.append(
      DeploymentPlan.Link(
        from: from, to: to, content: content, count: count, bytesPerStep: bytes,
        bytesPerSecond: bytes / rehearsed.seconds, requestsPerStep: requests,
        requestsPerSecond: requests / rehearsed.seconds))
  }

  /// Requests for so many bytes of rows: full frames, but at least one a block and call.
  private static func requests(_ bytes: Double, _ definition: RunDefinition, _ sizes: DeploymentSizes, calls: Int)
    -> Double
  {
    let rows = bytes / Double(sizes.layout.rowSize)
    let aFrame = Double(WireLimits.bulkBytes / sizes.layout.rowSize)
    // A block of which nothing is missing is not asked for.
    return min(rows, max(rows / aFrame, Double(calls * definition.configuration.blocksUsed)))
  }
}
