import ArgumentParser
import Foundation
import Services
import Wire

/// Who is told of what happens to a run, of the commands that start one.
package struct EventOptions: ParsableArguments {
  static let minutes = 10.0
  static let minutesHelp = ArgumentHelp("Tell of a run without workers after so long.", valueName: "minutes")

  @Option(
    help: ArgumentHelp(
      "Run this when the run ends, collapses, lacks workers: docs/watching.md.", valueName: "command"))
  package var onEvent: String?

  @Option(help: EventOptions.minutesHelp)
  package var noWorkerMinutes = EventOptions.minutes

  package init() {}

  package func validate() throws { try Self.check(onEvent, minutes: noWorkerMinutes) }

  static func check(_ command: String?, minutes: Double) throws {
    if let command, command.allSatisfy(\.isWhitespace) { throw ValidationError("--on-event has no command.") }
    guard minutes > 0, minutes <= 1e6 else {
      throw ValidationError("--no-worker-minutes must be more than 0 and at most 1000000, not \(minutes).")
    }
  }

  /// Starts the process that tells; nil if nobody is told.
  /// - Parameter security: the coordinator's, whose own key it then shows it.
  func process(
    of run: String, beside security: CoordinatorSecurityOptions? = nil, log: @escaping ServiceLog
  ) throws -> CompanionProcess? {
    guard let onEvent else { return nil }
    var arguments = [
      "notify", "--run", run, "--on-event", onEvent, "--no-worker-minutes", "\(noWorkerMinutes)", "--beside",
    ]
    if let security { arguments += try security.asPeer() }
    return CompanionProcess("notifier", arguments: arguments, hearsTheEnd: true, log: log)
  }
}
