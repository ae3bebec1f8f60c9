import ArgumentParser
import Benchmark
import Checkpoints
import Configuration
import Durability
import Foundation
import Machine
import MemoryBank
import Messages
import Numerics
import Planning
import Services
import Telemetry
import Training

/// `massl plan`: what a run takes on given machines, before they are rented.
package struct PlanCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Say what a run takes on given machines: bytes, traffic, time of a step, and what is used up first.",
    discussion: """
      Nothing is started but the run's own rules: its coordinator deals a few steps out to workers that are clocks, over
      links of the speed given. Sizes are those that the processes allocate. Said is how it is once the memory is full.

        massl plan --config Recipes/vit_small_imagenet.yaml --workers 8 --threads 32 --shards 2 --link 10Gbit
        massl plan --config Recipes/cifar10.yaml --workers 2 --threads 1 --link 1Gbit --row-cache 0 --json
        massl plan --config Recipes/vit_small_imagenet.yaml --threads 4 --link 10Gbit --sweep 1,2,4,8,16,32 --svg plan.svg

      Without --gflops and --copy this machine is measured, which takes a few seconds. All machines are taken to be alike.
      """)

  @Option(help: ArgumentHelp("Worker processes, each with a link of its own.", valueName: "count"))
  package var workers = 1

  @Option(
    help: ArgumentHelp(
      "Slices that a worker computes at once. (default: one for each processor it may use)", valueName: "count"))
  package var threads: Int?

  @Option(help: ArgumentHelp("Memory shards; 0: the coordinator has the memory alone.", valueName: "count"))
  package var shards = 0

  @Option(help: ArgumentHelp("Every machine's link, each way: 100Mbit, 1Gbit, 2.5Gbit.", valueName: "speed"))
  package var link = LinkSpeed(bitsPerSecond: 1e9)

  @Flag(help: "Links are encrypted, as they are where keys are used.")
  package var encrypted = false

  @Option(
    help: ArgumentHelp(
      "A worker's sgemm, all its threads at it at once, in GFLOP/s. (default: measured here)", valueName: "number"))
  package var gflops: Double?

  @Option(
    help: ArgumentHelp(
      "A machine's copy, read and written both counted, in GB/s. (default: measured here)", valueName: "number"))
  package var copy: Double?

  @Option(
    help: ArgumentHelp(
      "The method's operations a second in a slice, as a share of sgemm's: what 'massl bench step' prints.",
      valueName: "share"))
  package var efficiency = Deployment.usualEfficiency

  @Option(help: ArgumentHelp("A worker's RAM for memory rows: 512MiB, 16GiB, 0 for none.", valueName: "bytes"))
  package var rowCache = ByteCount(WorkerOptions.rowCacheBytes)

  @Option(help: ArgumentHelp("The coordinator's RAM for the newest memory rows.", valueName: "bytes"))
  package var coordinatorRowCache = ByteCount(RowStore.cacheBytes)

  @Option(
    help: ArgumentHelp(
      "Mean size of a picture that workers fetch from the coordinator; 0: they have the pictures.", valueName: "bytes"))
  package var pictureBytes = ByteCount(0)

  @Option(
    help: ArgumentHelp(
      "Plan for each of so many workers, and print a table: 1,2,4,8,16.", valueName: "counts"))
  package var sweep: WorkerCounts?

  @Option(help: ArgumentHelp("Of a --sweep: draw it, into this file.", valueName: "file"))
  package var svg: String?

  @Option(
    help: ArgumentHelp(
      "Of a --sweep: the share of the machines that fail in an hour, 0.01, say; each is away for five minutes.",
      valueName: "share"))
  package var failing: Double?

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  @OptionGroup package var settings: ConfigurationOptions

  package init() {}

  package func validate() throws {
    try requirePositive(workers, "--workers")
    guard workers <= Self.workersAtMost else {
      throw ValidationError("--workers must be at most \(Self.workersAtMost), not \(workers).")
    }
    if let threads, !(1...WireLimits.threads).contains(threads) {
      throw ValidationError("--threads must be from 1 to \(WireLimits.threads), not \(threads).")
    }
    guard 0...WireLimits.shards ~= shards else {
      throw ValidationError("--shards must be from 0 to \(WireLimits.shards), not \(shards).")
    }
    for (flag, value) in [("--gflops", gflops), ("--copy", copy), ("--efficiency", efficiency)] {
      if let value, !(value > 0 && value.isFinite) { throw ValidationError("\(flag) must be a number above 0.") }
    }
    guard efficiency <= 2 else {
      throw ValidationError("--efficiency is a share of sgemm's speed: 0.85, say, not \(efficiency).")
    }
    if sweep == nil {
      if svg != nil { throw ValidationError("--svg draws a sweep. Give --sweep 1,2,4,8,16 too.") }
      if failing != nil { throw ValidationError("--failing is for a sweep. Give --sweep 1,2,4,8,16 too.") }
    } else if workers != 1 {
      throw ValidationError("Give either --workers or --sweep.")
    }
    if let failing, !(0...1 ~= failing) {
      throw ValidationError("--failing must be a share from 0 to 1, not \(failing).")
    }
    guard settings.change.isEmpty else {
      throw ValidationError("--change is for runs that exist. Give the key as a flag: --memory-size 65536.")
    }
  }

  /// A coordinator takes no more.
  static let workersAtMost = 1024
  /// Until a machine that failed is back.
  private static let awaySeconds = 300.0

  package func run() throws {
    let configuration = try RunConfiguration(layers: settings.layers()).here
    guard shards == 0 || configuration.memoryReplicas <= shards else {
      throw ValidationError(
        "memory_replicas is \(configuration.memoryReplicas), but --shards \(shards): every copy needs a shard of its own."
      )
    }
    let definition = try RunDefinition(configuration: configuration, pictures: configuration.batchSize)
    var deployment = Deployment()
    deployment.workers = workers
    deployment.threads = threads ?? Allowance.current.processors.usable
    deployment.shards = shards
    deployment.linkBitsPerSecond = link.bitsPerSecond
    deployment.isEncrypted = encrypted
    deployment.efficiency = efficiency
    deployment.workerRowCache = rowCache.bytes
    deployment.coordinatorRowCache = coordinatorRowCache.bytes
    deployment.pictureBytes = pictureBytes.bytes
    if gflops == nil || copy == nil {
      try Relaunch.ensure(configuration)
      let speed = try MachineSpeed(measuredWith: deployment.threads, definition.precision)
      (deployment.sgemmPerSecond, deployment.copyBytesPerSecond) = (speed.sgemmPerSecond, speed.copyBytesPerSecond)
    }
    if let gflops { deployment.sgemmPerSecond = gflops * 1e9 }
    if let copy { deployment.copyBytesPerSecond = copy * 1e9 }
    if let sweep { return try write(sweep, definition, deployment) }
    let planned = DeploymentPlan(definition, on: deployment)
    if json {
      try StandardOutput.write(json: String(decoding: JSONEncoder.readable.encode(planned), as: UTF8.self))
    } else {
      try StandardOutput.write(PlanText.render(planned))
    }
  }

  private func write(_ counts: WorkerCounts, _ definition: RunDefinition, _ deployment: Deployment) throws {
    let failures = failing.map { DeploymentSweep.Failures(perHour: $0, awaySeconds: Self.awaySeconds) }
    let text = SweepText(failures: failures)
    if !json { try StandardOutput.write(text.header) }
    let sweep = try DeploymentSweep(definition, on: deployment, workers: counts.workers, failures: failures) { point in
      if !json { try StandardOutput.write(text.row(point)) }
    }
    if json { try StandardOutput.write(json: String(decoding: JSONEncoder.readable.encode(sweep), as: UTF8.self)) }
    if let svg { try FileStorage().writeAtomically(SweepPlot(sweep).svg.utf8, to: svg) }
  }
}
