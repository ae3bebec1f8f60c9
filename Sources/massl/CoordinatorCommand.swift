import ArgumentParser
import Configuration
import Coordination
import Foundation
import MemoryBank
import Numerics
import Services
import Telemetry
import Training
import Wire

/// `massl coordinator`: the process that owns a run.
package struct CoordinatorCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "coordinator",
    abstract: "Run the coordinator: weights, memory, checkpoints, and work for whoever connects.",
    discussion: """
      Workers come and go as they like; steps wait for the first. The same command resumes the run.

        massl coordinator --data pictures --run runs/first --listen tcp://0.0.0.0:5570 \\
          --key coordinator.key --allowed-keys workers.txt
      """)

  @OptionGroup package var place: RunOptions

  @Option(
    help: ArgumentHelp(
      "RAM for the newest memory rows: 512MiB, 16GiB, 0 for none. Taken as rows come; others are read from disk.",
      valueName: "bytes"))
  package var rowCache = ByteCount(RowStore.cacheBytes)

  @OptionGroup package var security: CoordinatorSecurityOptions

  @Flag(help: "Let workers of other compute classes in: gives up that a run's bits can be reproduced.")
  package var allowMixed = false

  @Flag(help: .hidden)
  package var stopWithParent = false

  @OptionGroup package var settings: ConfigurationOptions

  package init() {}

  package func run() throws {
    let configuration = try settings.configuration(ofRunAt: place.run)
    try Relaunch.ensure(ComputeClass(configuration.computeClass))
    let log = ProcessLog("coordinator", level: configuration.logLevel)
    let signals = Signals(withParent: stopWithParent)
    let listen = try Endpoint(configuration.listen)
    let service = try CoordinatorService(
      CoordinatorOptions(
        data: place.data, run: place.run, layers: settings.layers(), changes: settings.changes(), listen: listen,
        security: security.security(for: listen), probe: probeDigest(), allowsMixed: allowMixed,
        rowCacheBytes: rowCache.bytes),
      log: log.line)
    try log.attach(file: "\(place.run)/coordinator.log")
    log.line(.info, "Listens on \(service.endpoint), run \(place.run), step \(service.resumedStep).")
    signals.tell {
      service.requestStop()
      leave(within: configuration.grace, log.line)
    }
    let report = RunReport(
      try MetricsWriter(
        path: service.directory.metricsPath, resumingAt: service.resumedStep, incarnation: service.incarnation.number),
      service.plan, log: log.line)
    defer { report.finish() }
    switch try service.run(record: { report.take($0) }) {
    case .finished:
      log.line(.info, "The run is done: \(service.plan.lastStep) steps.")
    case .requested:
      log.line(.info, "Stopped after a last checkpoint. The same command goes on.")
    }
  }

  /// Machines on short notice are switched off after a while: better to end with a word than in the middle of a write.
  /// Ending at once loses no more than a kill would, the time since the newest durable checkpoint.
  private func leave(within seconds: Double, _ log: @escaping ServiceLog) {
    startThread(named: "massl-grace") {
      Thread.sleep(forTimeInterval: seconds)
      log(
        .error, "The last checkpoint was not durable within grace, \(seconds) s. The newest one before it is resumed.")
      Foundation.exit(ExitStatus.tryAgain.rawValue)
    }
  }
}
