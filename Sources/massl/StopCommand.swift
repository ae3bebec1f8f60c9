import ArgumentParser
import Foundation
import Glibc
import Processes
import Telemetry

/// `massl stop`: ends a run on this machine in order.
package struct StopCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "stop",
    abstract: "End a run on this machine after a last checkpoint, and wait for that.",
    discussion: """
      It asks the process that keeps the run going, 'massl train' or a coordinator. A run that does not run is no error.

        massl stop --run runs/first
      """)

  @Option(name: .customLong("run"), help: ArgumentHelp("Run directory.", valueName: "folder"))
  package var runDirectory: String

  package init() {}

  /// From one look to the next, and from one word to the next, in seconds.
  private static let pause = 0.1
  private static let wordPause = 10.0

  package func run() throws {
    let run = runDirectory
    switch try RunProcess(ofRunAt: run) {
    case .elsewhere(let holder): throw RunProcess.refusal("stop", run: run, holder)
    case .nowhere(let last):
      try StandardOutput.write("\(run) does not run: \(RestingRun(run).words)\(RunProcess.hint(last))")
    case .here(let process):
      try process.send(SIGTERM)
      var told = Date()
      Console.standardError.write(line: "Asked process \(process.number) to end after a last checkpoint.")
      while process.isRunning {
        Thread.sleep(forTimeInterval: Self.pause)
        guard -told.timeIntervalSinceNow > Self.wordPause else { continue }
        Console.standardError.write(line: "Process \(process.number) has not ended yet. Ctrl-C does not change that.")
        told = Date()
      }
      try StandardOutput.write("\(run) was stopped: \(RestingRun(run).words)")
    }
  }
}
