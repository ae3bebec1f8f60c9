import ArgumentParser
import Configuration
import Services

/// `massl fork`: a new run from an old step.
package struct ForkCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "fork",
    abstract: "Start a new run from a checkpoint of another, with other settings.",
    discussion: """
      The old run is not touched; the memory's rows are copied. Keys that shape the network cannot change, for its
      weights are carried over. Go on with massl train --run and the new directory.

        massl fork --run runs/first --step 4000 --to runs/second lr=0.0003 seed=1
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("The run to start from.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The step of one of its checkpoints. (default: the newest)", valueName: "step"))
  package var step: Int?

  @Option(help: ArgumentHelp("The new run directory; must not be there.", valueName: "folder"))
  package var to: String

  @OptionGroup package var shards: ShardOptions

  @Argument(help: ArgumentHelp("Settings that differ.", valueName: "key=value"))
  package var changes: [String] = []

  package init() {}

  package func run() throws {
    let fork = try RunFork(
      of: runDirectory, atStep: step, changes: ConfigurationLayer(assignments: changes), shards: shards.shard)
    let result = try fork.write(to: to)
    print("\(to): goes on from step \(result.step) of \(runDirectory), with \(result.rows) memory rows")
    for difference in result.differences { print("  \(difference.name): \(difference.saved) -> \(difference.given)") }
  }
}
