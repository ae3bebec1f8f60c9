import ArgumentParser
import Foundation
import Printing
import Processes
import Runs
import Services
import Telemetry

/// `massl attach`: what a run says, live.
package struct AttachCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "attach",
    abstract: "Show log and progress of a run on this machine, live. Ctrl-C leaves the run alone.",
    discussion: """
      For a run that 'massl train --detach' started, or that runs in another terminal. It ends when the run does.

        massl attach --run runs/first
      """)

  @Option(name: .customLong("run"), help: ArgumentHelp("Run directory.", valueName: "folder"))
  package var runDirectory: String

  package init() {}

  /// Lines of the log from before.
  private static let lastLines = 20
  /// From one look at the log to the next, and from one question to the coordinator to the next, in seconds.
  private static let pause = 0.2
  private static let progressPause = 2.0
  private static let patience = Duration.seconds(1)

  package func run() throws {
    let run = runDirectory
    switch try RunProcess(ofRunAt: run) {
    case .elsewhere(let holder): throw RunProcess.refusal("attach", run: run, holder)
    case .nowhere(let last):
      throw RunFailure.failed("\(run) does not run: \(RestingRun(run).words)\(RunProcess.hint(last))")
    case .here(let process): try follow(process)
    }
  }

  private func follow(_ process: RunningProcess) throws {
    let run = runDirectory
    let console = Console.standardError
    let signals = Signals()
    // Its own file if it writes to one; else what the coordinator writes besides.
    var log = FollowedFile(process.logFile ?? "\(run)/coordinator.log", lastLines: Self.lastLines)
    console.write(line: "\(run) runs as process \(process.number). Ctrl-C leaves it alone.")
    var asked = Date.distantPast
    while !signals.haveCome {
      let isRunning = process.isRunning
      for line in log.newLines() where !(console.isTerminal && ProgressLine.isOne(line)) { console.write(line: line) }
      guard isRunning else {
        if let line = log.rest() { console.write(line: line) }
        console.endProgress()
        return console.write(line: "\(run) has ended: \(RestingRun(run).words)")
      }
      if console.isTerminal, -asked.timeIntervalSinceNow > Self.progressPause {
        if let status = NamedCoordinator.glance(atRun: run, patience: Self.patience) {
          console.show(progress: ProgressLine.render(ProgressState(status), width: console.width - 1))
        }
        asked = Date()
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
    console.endProgress()
    console.write(line: "\(run) goes on as process \(process.number). massl stop --run \(run.shellWord) ends it.")
  }
}
