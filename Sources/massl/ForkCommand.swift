import ArgumentParser
import Configuration
import Machine
import Runs
import Services
import Telemetry
import Vision

/// `massl fork`: a new run from an old step.
package struct ForkCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "fork",
    abstract: "Start a new run from a checkpoint of another, with other settings or pictures.",
    discussion: """
      The old run is not touched; the memory's rows are copied. Keys that shape the network cannot change, for its
      weights are carried over. --init puts another backbone in their place; heads and memory stay, and the optimizer begins
      anew. With another batch_size steps are counted anew, so that schedules go on where the pictures
      seen have brought them. Go on with massl train --run and the new directory.

        massl fork --run runs/first --step 4000 --to runs/second lr=0.0003 seed=1
        massl fork --run runs/first --data pictures --to runs/second
        massl fork --run runs/first --init dino.safetensors --to runs/second
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("The run to start from.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The step of one of its checkpoints. (default: the newest)", valueName: "step"))
  package var step: Int?

  @Option(help: ArgumentHelp("The new run directory; must not be there.", valueName: "folder"))
  package var to: String

  @Option(
    help: ArgumentHelp(
      "The new run's pictures, where they are not the old one's: some are gone, or more have come.",
      valueName: "pictures"))
  package var data: String?

  @Option(
    name: .customLong("init"),
    help: ArgumentHelp(
      "Go on with the backbone of this safetensors file: timm, DINO, MAE, transformers, massl.", valueName: "file"))
  package var initialWeights: String?

  @OptionGroup package var shards: ShardOptions

  @Argument(help: ArgumentHelp("Settings that differ.", valueName: "key=value"))
  package var changes: [String] = []

  package init() {}

  package func run() throws {
    let fork = try RunFork(
      of: runDirectory, atStep: step, changes: ConfigurationLayer(assignments: changes),
      machine: { ComputeClassName(Processor.bestClass(for: ProductPrecision($0))) },
      // Listed anew: what is recorded has to be what the run will find.
      data: data.map { try DataSet(root: $0, index: nil) }, weights: initialWeights, shards: shards.shard)
    let result = try fork.write(to: to)
    try StandardOutput.write(
      "\(to): goes on from step \(result.step) of \(runDirectory), with \(result.rows) memory rows")
    for difference in result.differences {
      try StandardOutput.write("  \(difference.name): \(difference.saved) -> \(difference.given)")
    }
    for sentence in result.weights { try StandardOutput.write("  \(sentence)") }
    if let change = result.data {
      try StandardOutput.write("  pictures: \(change.pictures.before) -> \(change.pictures.now)")
      try StandardOutput.write("  steps an epoch: \(change.stepsPerEpoch.before) -> \(change.stepsPerEpoch.now)")
      try StandardOutput.write(
        "  steps in all: \(change.lastStep.before) -> \(change.lastStep.now); schedules end with the last")
      try StandardOutput.write("  the order of the pictures is another from here on")
    } else if data != nil {
      try StandardOutput.write("  pictures: the same as before")
    }
    if result.differences.contains(where: { $0.name == "batch_size" }) {
      print(
        """
          With batches of another size step \(result.step) is step \(result.newStep) of \(result.lastStep), as many passes \
        over the pictures in: schedules, warm-ups and the order of pictures go on from there.
          The next learning rate is \(result.learningRates.new), not \(result.learningRates.old): lr is scaled by batch_size.
        """)
    }
  }
}
