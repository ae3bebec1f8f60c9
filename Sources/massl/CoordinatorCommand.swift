import ArgumentParser
import Configuration
import Coordination
import Foundation
import Services
import Telemetry
import Training
import Wire

struct CoordinatorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "coordinator",
    abstract: "Owns a run: weights, optimizer, memory and checkpoints; workers connect to it.",
    discussion: ConfigurationOptions.keys)

  @Option(help: "The folder of the pictures, at any depth.")
  var data: String

  @Option(name: .customLong("run"), help: "The run directory; a run that is there is resumed.")
  var runDirectory: String

  @Option(help: "A key=value that a resumed run is to have from now on; may be repeated.")
  var change: [String] = []

  @Flag(help: "Neither encrypt nor know workers by their keys, though other machines can connect.")
  var insecure = false

  @Flag(help: "Accept workers of another compute class: the promise of equal bits is off.")
  var allowMixed = false

  @OptionGroup var settings: ConfigurationOptions

  func run() throws {
    let code = try reporting {
      let layers = try settings.layers()
      let configuration = try RunConfiguration(layers: layers)
      try Relaunch.pin(configuration.computeClass)
      let listen = try Endpoint(configuration.listen.replacingOccurrences(of: ":*", with: ":0"))
      let service = try CoordinatorService(
        CoordinatorOptions(
          data: data, run: runDirectory, layers: layers, changes: ConfigurationLayer(assignments: change),
          listen: listen,
          security: .decide(for: listen, keys: nil, insecure: insecure), probe: probeDigest(), allowsMixed: allowMixed),
        log: printLog)
      printLog(.info, "Listening on \(service.endpoint), run \(runDirectory), step \(service.resumedStep).")
      let stopping = stopOnSignals { service.requestStop() }
      defer { withExtendedLifetime(stopping) {} }
      let report = RunReport(
        try MetricsWriter(
          path: service.directory.metricsPath, resumingAt: service.resumedStep,
          incarnation: service.incarnation.number), service.plan)
      switch try service.run(record: { report.take($0) }) {
      case .finished, .requested: return ExitCode.success
      case .failed(let reason):
        printLog(.error, reason)
        return ExitCode.failure
      }
    }
    throw code
  }
}
