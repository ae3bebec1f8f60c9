import ArgumentParser
import Configuration
import Coordination
import Durability
import Foundation
import Machine
import MemoryBank
import Messages
import Numerics
import Runs
import Services
import Telemetry
import Threads
import Training
import Wire

/// `massl coordinator`: the process that owns a run.
package struct CoordinatorCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "coordinator",
    abstract: "Run the coordinator: weights, memory, checkpoints, and work for whoever connects.",
    discussion: """
      Workers come and go as they like; steps wait for the first. The same command resumes the run.

        massl coordinator --data pictures --run runs/first --listen tcp://0.0.0.0:5570 \\
          --key coordinator.key --allowed-keys workers.txt
      """)

  @OptionGroup package var place: RunOptions

  @OptionGroup package var beginning: InitialWeightsOptions

  @Option(
    help: ArgumentHelp(
      "RAM for the newest memory rows: 512MiB, 16GiB, 0 for none. Taken as rows come; others are read from disk.",
      valueName: "bytes"))
  package var rowCache = ByteCount(RowStore.cacheBytes)

  @Option(key: "listen") package var listen: String?

  @OptionGroup package var security: CoordinatorSecurityOptions

  @OptionGroup package var page: PageOptions

  @OptionGroup package var tensorBoard: TensorBoardOptions

  @OptionGroup package var events: EventOptions

  @Flag(help: "Let workers of other compute classes in: gives up that a run's bits can be reproduced.")
  package var allowMixed = false

  @Flag(help: "Go on without rows that no memory shard has any more: they are computed from their number instead.")
  package var forgetLostRows = false

  @Flag(help: .hidden)
  package var stopWithParent = false

  @OptionGroup package var settings: ConfigurationOptions

  package init() {}

  private static let openings = 10
  private static let openPause = 0.1

  package func run() throws {
    try DescriptorLimit.check(for: "A coordinator")
    let own = listen.map { [("listen", $0)] } ?? []
    let configuration = try settings.configuration(ofRunAt: place.run, and: own)
    // One that a machine's only worker is beside is refused at once.
    if stopWithParent { try Relaunch.ensure(configuration) }
    let obstacle = try Relaunch.ensureIfPossible(configuration)
    let log = ProcessLog("coordinator", level: configuration.logLevel)
    if let obstacle {
      log.line(
        .warning,
        "\(obstacle) This coordinator computes no slices itself: workers of other hosts judge where two answers differ."
      )
    }
    let signals = Signals(withParent: stopWithParent)
    if !stopWithParent, let sentence = Allowance.current.sentence { log.line(.info, sentence) }
    // Most of a start is still to come. One that comes later is told to the run, which then ends in order.
    guard !signals.haveCome else {
      return log.line(.info, "Stopped as asked before it began: nothing is lost. The same command goes on.")
    }
    let listen = try Endpoint(configuration.listen)
    var options = try CoordinatorOptions(
      data: place.data, run: place.run, layers: settings.layers(and: own),
      computeClass: ComputeClassName(ComputeClass(configuration)), changes: settings.changes(), listen: listen,
      security: security.security(for: listen, log: log.line),
      probe: obstacle == nil ? probeDigest(configuration.precision) : nil, allowsMixed: allowMixed,
      rowCacheBytes: rowCache.bytes)
    options.forgetsLostRows = forgetLostRows
    options.initialWeights = beginning.initialWeights
    let manager = ServiceManager.ofThisProcess(isChild: stopWithParent, log: log.line)
    let companions = try [
      page.process(of: place.run, beside: security, log: log.line), tensorBoard.process(of: place, log: log.line),
      events.process(of: place.run, beside: security, log: log.line),
    ].compactMap(\.self)
    _ = try companions.beside {
      do {
        // Where workers look for it; one that went back is another incarnation there, as after a restart.
        while let endpoint = try coordinate(options, configuration, signals, log, manager) {
          options.listen = listen.withPort(endpoint.port)
        }
      } catch {
        // For whoever reads the log alone: the page, and who is told how the run ended.
        log.note(error)
        throw error
      }
      return .done
    }
  }

  /// - Returns: where it listened, if the run went back and is to be opened again.
  private func coordinate(
    _ options: CoordinatorOptions, _ configuration: RunConfiguration, _ signals: Signals, _ log: ProcessLog,
    _ manager: ServiceManager?
  ) throws -> Endpoint? {
    let service = try opened(options, log)
    try log.attach(file: "\(place.run)/coordinator.log")
    log.line(.info, "Listens on \(service.endpoint), run \(place.run), step \(service.resumedStep).")
    manager?.tell(.ready, .status("Waits for workers at \(service.endpoint), step \(service.resumedStep)."))
    signals.tell { request in
      switch request {
      case .leave:
        manager?.tell(.stopping, .status("Writes a last checkpoint."))
        service.requestStop()
        leave(within: configuration.grace, log.line)
      case .hurry:
        log.line(.warning, "Interrupted twice: the last checkpoint is not waited for. The newest whole one is resumed.")
        ExitStatus.tryAgain.leave()
      }
    }
    let report = RunReport(
      try writer(of: service.directory.metricsPath, service), evaluations: try evaluationsWriter(service),
      service.definition, manager: manager, log: log.line)
    defer {
      report.finish()
      // Nobody holds the service then; a signal that comes now is told to the next one.
      signals.tell { _ in }
    }
    switch try service.run(pulse: { manager?.beat() }, record: { report.take($0) }, evaluated: { report.take($0) }) {
    case .finished: log.line(.info, "The run is done: \(service.definition.lastStep) steps.")
    case .requested: log.line(.info, "Stopped after a last checkpoint. The same command goes on.")
    case .rolledBack: return service.endpoint
    }
    return nil
  }

  private func writer(of path: String, _ service: CoordinatorService) throws -> sending MetricsWriter {
    try MetricsWriter(path: path, resumingAt: service.resumedStep, incarnation: service.incarnation.number)
  }

  /// A run that evaluates nothing gets no file. One that did before may have to go back in it.
  private func evaluationsWriter(_ service: CoordinatorService) throws -> sending MetricsWriter? {
    let path = service.directory.evaluationsPath
    guard try service.definition.configuration.evaluateEverySteps > 0 || FileStorage().exists(path) else { return nil }
    return try writer(of: path, service)
  }

  /// If the run went back, the address may be free only a moment later.
  private func opened(_ options: CoordinatorOptions, _ log: ProcessLog) throws -> CoordinatorService {
    for _ in 0..<Self.openings where options.listen.port != 0 {
      do { return try CoordinatorService(options, log: log.line) } catch WireError.addressInUse {}
      Thread.sleep(forTimeInterval: Self.openPause)
    }
    return try CoordinatorService(options, log: log.line)
  }

  /// Machines on short notice are switched off after a while: better to end with a word than in the middle of a write.
  /// Ending at once loses no more than a kill would, the time since the newest durable checkpoint.
  private func leave(within seconds: Double, _ log: @escaping ServiceLog) {
    startThread(named: "massl-grace") {
      Thread.sleep(forTimeInterval: seconds)
      log(
        .error, "The last checkpoint was not durable within grace, \(seconds) s. The newest one before it is resumed.")
      ExitStatus.tryAgain.leave()
    }
  }
}
