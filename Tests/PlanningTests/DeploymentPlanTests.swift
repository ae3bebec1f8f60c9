import Foundation
import Planning
import Testing
import Training

/// What a step takes follows from what is slow, and from what waits for what.
struct DeploymentPlanTests {
  /// Machines that take no time but for what a test is about.
  private func deployment(workers: Int = 1, threads: Int = 1, _ change: (inout Deployment) -> Void) -> Deployment {
    var deployment = Deployment()
    (deployment.workers, deployment.threads) = (workers, threads)
    deployment.linkBitsPerSecond = 1e15
    deployment.sgemmPerSecond = 1e18
    deployment.copyBytesPerSecond = 1e18
    change(&deployment)
    return deployment
  }

  private func isNear(_ value: Double, _ expected: Double) -> Bool { abs(value / expected - 1) < 0.02 }

  @Test(arguments: [(1, 1), (1, 2), (2, 2), (4, 1)])
  func slowProcessorsTakeTheirSlicesTime(workers: Int, threads: Int) throws {
    let definition = try smallDefinition()
    let planned = DeploymentPlan(
      definition,
      on: deployment(workers: workers, threads: threads) {
        $0.sgemmPerSecond = 1e9 * Double(threads)
        $0.efficiency = 0.5
      })
    let aSlice = 2 * definition.operationsPerImage / 0.5e9
    #expect(isNear(planned.stepSeconds, aSlice * 4 / Double(workers * threads)))
    #expect(planned.saturatesFirst == "the workers' threads" && planned.uses[0].share > 0.98)
    #expect(isNear(planned.imagesPerSecond, planned.imagesPerSecondOfComputing))
  }

  @Test(arguments: [1, 4])
  func slowLinksTakeWeightsDownAndGradientsUp(workers: Int) throws {
    let definition = try smallDefinition([
      "memory_size": "1024", "block_size": "8", "blocks_per_step": "1", "batch_size": "4", "exchange": "never",
    ])
    let planned = DeploymentPlan(
      definition, on: deployment(workers: workers, threads: 2) { $0.linkBitsPerSecond = 1e6 })
    // One worker of two threads has both slices and pushes one sum; of four, who has any pulls the weights.
    let payload = 1e6 / 8 * 1448 / 1538
    let weights = Double(4 * definition.layout.count)
    if workers == 1 {
      #expect(isNear(planned.stepSeconds, (2 * weights + Double(4 * 2 * definition.floatsPerSlice)) / payload))
      #expect(planned.gradientsPerStep == 1)
    }
    #expect(
      isNear(planned.phases.gradients, (planned.phases.gradients / weights * payload).rounded() * weights / payload))
    #expect(planned.saturatesFirst.contains("link"))
  }

  /// Four workers of a slice each, whose links are all that takes time.
  private func exchanging(_ exchange: String) throws -> (plan: DeploymentPlan, weights: Double) {
    let definition = try smallDefinition([
      "memory_size": "1024", "block_size": "8", "blocks_per_step": "1", "batch_size": "8", "exchange": exchange,
    ])
    let planned = DeploymentPlan(definition, on: deployment(workers: 4) { $0.linkBitsPerSecond = 1e6 })
    return (planned, Double(4 * definition.layout.count))
  }

  @Test func weightsThatWorkersGiveEachOtherLeaveTheCoordinatorOnce() throws {
    func sent(_ plan: DeploymentPlan, by who: String) -> Double {
      plan.links.filter { $0.from == who && $0.content == "weights" }.reduce(0) {
        $0 + $1.bytesPerStep * Double($1.count)
      }
    }
    let (star, weights) = try exchanging("never")
    #expect(isNear(sent(star, by: "coordinator"), 4 * weights) && sent(star, by: "each worker") == 0)
    let (each, _) = try exchanging("always")
    #expect(isNear(sent(each, by: "coordinator"), weights) && isNear(sent(each, by: "each worker"), 3 * weights))
    #expect(each.phases.weights < star.phases.weights / 3)
    // What decides goes by the links, which are slow here.
    #expect(try exchanging("automatic").plan.stepSeconds == each.stepSeconds)
  }

  /// A network of 17 M parameters, or 257 chunks, of which workers compute a slice of two pictures at a time.
  private func large(exchange: String, batch: Int = 32) throws -> (definition: RunDefinition, weights: Double) {
    let definition = try smallDefinition([
      "head_hidden_dim": "4096", "memory_size": "1024", "batch_size": "\(batch)", "exchange": exchange,
    ])
    return (definition, Double(4 * definition.layout.count))
  }

  @Test(arguments: [(16, 32), (4, 32), (3, 16)])
  func gradientsThatStayWithTheWorkersReachTheCoordinatorAsOneSum(workers: Int, batch: Int) throws {
    func planned(_ exchange: String) throws -> DeploymentPlan {
      let definition = try large(exchange: exchange, batch: batch).definition
      return DeploymentPlan(definition, on: deployment(workers: workers) { $0.linkBitsPerSecond = 1e8 })
    }
    func gradients(_ plan: DeploymentPlan, to whom: String) -> Double {
      plan.links.filter { $0.from == "each worker" && $0.to == whom && $0.content.hasPrefix("gradients") }.reduce(0) {
        $0 + $1.bytesPerStep * Double($1.count)
      }
    }
    let (star, each) = (try planned("never"), try planned("always"))
    let (definition, weights) = try large(exchange: "never", batch: batch)
    let tails = Double(4 * definition.slices * definition.floatsPerSlice)
    #expect(star.reducers == 0 && star.phases.reduce == 0 && gradients(star, to: "other workers") == 0)
    #expect(isNear(gradients(star, to: "coordinator"), star.gradientsPerStep * weights + tails))
    #expect(each.reducers == workers && isNear(gradients(each, to: "coordinator"), weights + tails))
    // Of what is added up a worker has its own part.
    let others = Double(workers - 1) / Double(workers)
    #expect(isNear(gradients(each, to: "other workers"), each.gradientsPerStep * others * weights))
    // All pull at once, and send what they have added while they pull.
    let crossing = weights / (1e8 / 8 * 1448 / 1538)
    let most = max(each.gradientsPerStep * others / Double(workers), 1) * crossing
    #expect(each.phases.reduce > 0.9 * most && each.phases.reduce < 1.6 * most)
    #expect(try planned("automatic").stepSeconds == each.stepSeconds)
  }

  @Test func manyWorkersAreOfUseOnceTheirGradientsStayWithThem() throws {
    func efficiency(_ exchange: String, workers: Int) throws -> Double {
      let (definition, weights) = try large(exchange: exchange, batch: 2 * workers)
      // A slice takes as long as half of the workers' parameter buffers over a link.
      let planned = DeploymentPlan(
        definition,
        on: deployment(workers: workers) {
          $0.linkBitsPerSecond = 1e8
          $0.sgemmPerSecond =
            2 * definition.operationsPerImage / Deployment.usualEfficiency
            / (Double(workers) / 2 * weights / $0.linkBitsPerSecond * 8)
        })
      return planned.imagesPerSecond / planned.imagesPerSecondOfComputing
    }
    #expect(try efficiency("never", workers: 16) < 0.25 && efficiency("always", workers: 16) > 0.65)
    #expect(try efficiency("never", workers: 64) < 0.25 && efficiency("always", workers: 64) > 0.85)
  }

  @Test(arguments: [1, 4]) func whatIsPulledIsHashedByAThreadForEachConnectionAndWhatIsKeptByAll(threads: Int) throws {
    let (definition, weights) = try large(exchange: "always", batch: 8 * threads)
    // Nothing takes time but hashes.
    let planned = DeploymentPlan(definition, on: deployment(workers: 4, threads: threads) { _ in })
    let chunks = 65.0
    #expect(isNear(planned.phases.reduce, 3 * chunks * 65_536 * 4e-9 / Double(min(threads, 3))))
    #expect(isNear(planned.phases.slices, weights * 1e-9 / Double(threads)))
  }

  @Test(arguments: [16, 128], ["never", "always"])
  func newRowsThatMostStepsNeedComeWithTheWeights(blocks: Int, exchange: String) throws {
    // A share of an eighth of the memory, or all of it, which is in everybody's cache but for its newest rows.
    let definition = try smallDefinition([
      "memory_size": "1024", "block_size": "8", "blocks_per_step": "\(blocks)", "batch_size": "8", "exchange": exchange,
    ])
    let planned = DeploymentPlan(definition, on: deployment(workers: 4) { $0.linkBitsPerSecond = 1e6 })
    func rows(from: String) -> Double {
      planned.links.filter { $0.from == from && $0.content == "memory rows" }.reduce(0) {
        $0 + $1.bytesPerStep * Double($1.count)
      }
    }
    let new = Double(4 * definition.newRowFloats)
    let comeWithWeights = blocks == 128 && exchange == "always"
    #expect(isNear(rows(from: "coordinator"), comeWithWeights ? new : 4 * new))
    #expect(rows(from: "each worker") == (comeWithWeights ? 3 * new : 0))
  }

  /// Each of four slices has a thread of its own.
  @Test(arguments: [("1", 4, 1.0), ("0.01", 4, 0.01), ("1", 8, 0)])
  func auditsTakeTheTimeThatNoSpareThreadHides(rate: String, workers: Int, slices: Double) throws {
    let definition = try smallDefinition(["audit_rate": rate])
    let planned = DeploymentPlan(definition, on: deployment(workers: workers) { $0.sgemmPerSecond = 1e9 })
    let aSlice = 2 * definition.operationsPerImage / (1e9 * Deployment.usualEfficiency)
    // Which of the rehearsed steps are audited is drawn.
    #expect(abs(planned.auditSeconds / aSlice - slices) < 0.05 + 0.25 * slices, "\(planned.auditSeconds / aSlice)")
    #expect(isNear(planned.stepSeconds, aSlice + planned.auditSeconds))
  }

  /// They fall on the same steps: one in a hundred takes longer, and not one in two.
  @Test func auditsOfManyWorkersTakeNoMoreThanTheirShare() throws {
    let definition = try smallDefinition(["audit_rate": "0.01", "batch_size": "128", "memory_size": "256"])
    let planned = DeploymentPlan(definition, on: deployment(workers: 64) { $0.sgemmPerSecond = 1e9 })
    #expect(planned.auditSeconds > 0 && planned.auditSeconds < 0.05 * planned.stepSeconds)
  }

  @Test(arguments: [1, 4, 100]) func encryptionTakesThreadsForBothWays(threads: Int) throws {
    let definition = try smallDefinition(["exchange": "never", "batch_size": "2"])
    let planned = DeploymentPlan(definition, on: deployment(threads: threads) { $0.isEncrypted = true })
    let weights = Double(4 * definition.layout.count)
    #expect(isNear(planned.phases.weights, weights / (Double(min(threads, 6)) * 0.2e9)))
  }

  @Test func rowsAreGatheredWhileSlicesAreComputed() throws {
    // All of the memory in every step, none of it in a cache; all but the newest rows come ahead.
    let definition = try smallDefinition(["memory_size": "8192", "block_size": "1024"])
    func planned(sgemm: Double) -> DeploymentPlan {
      DeploymentPlan(
        definition,
        on: deployment(threads: 4) {
          $0.linkBitsPerSecond = 10e6
          $0.sgemmPerSecond = sgemm
          $0.workerRowCache = 0
        })
    }
    let bytes = 8192.0 * 64
    let rowSeconds = bytes / (10e6 / 8 * 1448 / 1538)
    // A worker's link in is never idle where nothing else takes time.
    let hurried = planned(sgemm: 1e18)
    #expect(hurried.saturatesFirst.contains("link") && hurried.uses[0].share > 0.9)
    #expect(hurried.stepSeconds > rowSeconds)
    // Slices that take three times as long hide the rows.
    let slices = 3 * rowSeconds
    let slow = planned(sgemm: 4 * 2 * definition.operationsPerImage / slices / Deployment.usualEfficiency)
    #expect(slow.phases.rows < 0.1 * rowSeconds)
    #expect(slow.stepSeconds < slices + 0.5 * rowSeconds)
    let rows = try #require(slow.links.first { $0.content == "memory rows" })
    #expect(isNear(rows.bytesPerStep, bytes) && slow.rowHitShare == 0)
  }

  @Test func shardsTakeRowsOffTheCoordinator() throws {
    let definition = try smallDefinition([
      "memory_size": "8192", "block_size": "1024", "extent_rows": "64", "memory_replicas": "2",
    ])
    let planned = DeploymentPlan(
      definition,
      on: deployment(workers: 2, threads: 2) {
        $0.shards = 3
        $0.workerRowCache = 0
      })
    func bytes(from: String, _ content: String) throws -> Double {
      try #require(planned.links.first { $0.from == from && $0.content == content }).bytesPerStep
    }
    let ofShards = try 3 * bytes(from: "each shard", "memory rows")
    let ofCoordinator = try 2 * bytes(from: "coordinator", "memory rows")
    // Half an extent and the newest rows are the coordinator's.
    #expect(isNear(ofShards + ofCoordinator, 2 * 8192 * 64) && isNear(ofCoordinator, 2 * 32 * 64))
    // Every row is copied twice.
    #expect(isNear(try 3 * bytes(from: "coordinator, shards", "whole extents"), 2 * 8 * 72))
    let disk = try #require(planned.processes.first { $0.name == "shard" }?.diskBytes)
    #expect(3 * disk >= 2 * 8192 * 72)
  }

  @Test func gradientsThatWaitForTheirSiblingsTakeMemory() throws {
    let definition = try smallDefinition(["batch_size": "32"])
    let planned = DeploymentPlan(definition, on: deployment(workers: 4) { $0.sgemmPerSecond = 1e9 })
    let gradients = try #require(planned.processes[0].memory.first { $0.content.hasPrefix("gradients") })
    let weights = 4 * definition.layout.count
    // One that arrives, at least, beside one that waits; no more than are granted and one a level of the tree.
    #expect(gradients.bytes % weights == 0)
    #expect((2 * weights...(4 + 5) * weights).contains(gradients.bytes))
  }
}
