import ArgumentParser
import Machine
import Runs
import Services
import Telemetry
import Vision

/// `massl replay`: a step of a run, computed again.
package struct ReplayCommand: TakesThreads {
  package static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Compute a step of a run again, and say what came of each slice.",
    discussion: """
      Begins at the newest kept checkpoint at or before the step, and computes the steps between again too. Prints loss,
      gradient norm and digest of every slice, the digests of weights and memory after the step, and, where something
      is not finite, the first such value: its layer, its view, its picture. The run is only read.

        massl replay --run runs/first --data pictures --step 4211 --slice 3
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("The run directory.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The run's pictures.", valueName: "pictures"))
  package var data: String

  @Option(help: ArgumentHelp("The step to compute; the first is 0.", valueName: "step"))
  package var step: Int

  @Option(help: ArgumentHelp("Only this slice of the step; the first is 0. (default: all)", valueName: "slice"))
  package var slice: Int?

  @OptionGroup package var shards: ShardOptions

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  package init() {}

  package func validate() throws {
    if step < 0 { throw ValidationError("--step must be at least 0, not \(step).") }
    if let slice, slice < 0 { throw ValidationError("--slice must be at least 0, not \(slice).") }
  }

  package func run() throws {
    let replay = try StepReplay(of: runDirectory, step: step, slice: slice, shards: shards.shard)
    try Relaunch.ensure(replay.configuration)
    let report = try replay.compute(on: DataSet(root: data, ofRunAt: runDirectory))
    try json ? StandardOutput.write(json: report.json()) : StandardOutput.write(report.text())
  }
}
