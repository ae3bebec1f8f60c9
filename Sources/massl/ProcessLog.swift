import Configuration
import Coordination
import Logging
import Services
import Telemetry

/// The log of a process that runs for long: standard error, and a file once the run directory is known.
struct ProcessLog {
  private let label: String
  private let output: LogOutput
  private let logger: Logger

  /// Once a process.
  /// - Parameters:
  ///   - label: the command, in every line.
  ///   - console: where it goes besides files.
  init(_ label: String, level: LogLevelName, console: Console = .standardError) {
    self.label = label
    output = LogOutput(console: console)
    let least: Logger.Level =
      switch level {
      case .debug: .debug
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    output.start(level: least)
    logger = Logger(label: label)
  }

  /// From now on writes to a file too, which is rotated.
  func attach(file path: String) throws { try output.attach(file: path) }

  /// Writes what another process said, as it said it.
  func write(said line: String) { output.write(line: line) }

  /// Writes why this process ends to the file; on the console it is the last line anyway.
  func note(_ error: any Error) { output.note(level: .error, label: label, "\(error)") }

  /// To hand to services, which know of no log.
  var line: ServiceLog {
    { [logger] level, text in
      switch level {
      case .info: logger.info("\(text)")
      case .warning: logger.warning("\(text)")
      case .error: logger.error("\(text)")
      }
    }
  }
}
