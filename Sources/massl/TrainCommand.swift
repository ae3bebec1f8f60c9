import ArgumentParser
import Checkpoints
import Configuration
import Coordination
import Durability
import Foundation
import Machine
import MemoryBank
import Messages
import Runs
import Services
import Telemetry
import Training
import Wire

/// `massl train`: coordinator and workers on this machine.
package struct TrainCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train on this machine: starts a coordinator and workers, and keeps them running.",
    discussion: """
      The same command resumes the run from its newest whole checkpoint. SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 end
      it after a last one, which only a second SIGINT does not wait for.
      The result does not depend on the number of workers, to the bit.

        massl train --data pictures --run runs/first --config Recipes/vit_small_imagenet.yaml
        massl train --data pictures --run runs/first --detach
        massl attach --run runs/first
        massl stop --run runs/first
      """)

  @OptionGroup package var place: RunOptions

  @OptionGroup package var beginning: InitialWeightsOptions

  @Option(help: ArgumentHelp("Worker processes; the machine's cores are split between them.", valueName: "count"))
  package var workers: Int = 1

  @Option(
    help: ArgumentHelp(
      "Computing threads of all workers together. (default: one for each processor it may use)", valueName: "count"))
  package var threads: Int?

  @Option(
    help: ArgumentHelp(
      "RAM of each worker process for memory rows: 512MiB, 16GiB, 0 for none. Taken as rows come.",
      valueName: "bytes"))
  package var rowCache = ByteCount(WorkerOptions.rowCacheBytes)

  @Flag(help: "Return once the run has begun; it goes on without this terminal, and logs to RUN/train.log.")
  package var detach = false

  /// For who means the coordinator's: refused, and says so.
  @Option(help: .hidden)
  package var listen: String?

  @OptionGroup package var page: PageOptions

  @OptionGroup package var tensorBoard: TensorBoardOptions

  @OptionGroup package var events: EventOptions

  @OptionGroup package var settings: ConfigurationOptions

  /// Threads of a coordinator or worker for sockets, files and signals.
  private static let threadsBeside = 16

  package init() {}

  package func validate() throws {
    try requirePositive(workers, "--workers")
    try requirePositive(threads, "--threads")
    if let threads, threads < workers {
      throw ValidationError("--threads \(threads) is fewer than --workers \(workers). Every worker needs a thread.")
    }
    if let threads, threads > workers * WireLimits.threads {
      throw ValidationError("--threads \(threads) is more than \(WireLimits.threads) for each worker.")
    }
    if listen != nil {
      throw ValidationError(
        "massl train listens on this machine alone. For workers on others start massl coordinator with --listen.")
    }
  }

  package func run() throws {
    try DescriptorLimit.check(for: "Training")
    // What is wrong with the settings is said once, here, not by each process that is started.
    let configuration = try settings.configuration(ofRunAt: place.run)
    let isNew = try !RunDirectory.isRun(place.run, in: FileStorage())
    if isNew { try beginning.check(configuration) }
    if detach {
      let arguments = CommandLine.arguments.dropFirst().filter { $0 != "--detach" }
      throw try DetachedTraining(run: place.run, arguments: Array(arguments)).start().code
    }
    let log = ProcessLog("train", level: configuration.logLevel)
    let allowance = Allowance.current
    if let sentence = allowance.sentence { log.line(.info, sentence) }
    if isNew, let sentence = FasterPrecision.sentence(instead: configuration.precision) { log.line(.info, sentence) }
    let threads = threads ?? max(workers, allowance.processors.usable)
    let memory = try LocalMemory(configuration, workers: workers, threads: threads, rowCache: rowCache.bytes, allowance)
    if let sentence = memory.sentence { log.line(.warning, sentence) }
    // Before anything is started: what its processes take together. They have some threads each beside those that compute.
    try ProcessLimits.check(
      threads: threads + (workers + 1) * (Self.threadsBeside + ProcessInfo.processInfo.activeProcessorCount))
    // Their comings and goings are in the coordinator's log already.
    let workerLog = configuration.logLevel == .info ? .warning : configuration.logLevel
    let supervisor = Supervisor(
      coordinator: [
        "coordinator", "--data", place.data, "--run", place.run, "--row-cache",
        "\(ByteCount(memory.coordinatorRowCache))",
      ] + beginning.arguments + settings.arguments,
      addressPath: NamedCoordinator.path(ofRunAt: place.run),
      lockPath: "\(place.run)/\(RunDirectory.supervisorLockFile)",
      workers: (0..<workers).map { index in
        [
          "worker", "--data", place.data, "--threads", "\(LocalMemory.threads(threads, of: index, of: workers))",
          "--log-level", workerLog.rawValue, "--row-cache", "\(ByteCount(memory.workerRowCache))",
        ]
      },
      memory: memory.words, log: log.line)
    let signals = Signals()
    // Beside the coordinator, not under it: they outlive one that is being started again.
    let companions = try [
      page.process(of: place.run, log: log.line), tensorBoard.process(of: place, log: log.line),
      events.process(of: place.run, log: log.line),
    ].compactMap(\.self)
    signals.tell { supervisor.requestStop($0) }
    throw try companions.beside { try supervisor.run() }.code
  }
}
