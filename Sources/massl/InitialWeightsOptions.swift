import ArgumentParser
import Checkpoints
import Configuration
import Durability
import Runs
import Networks
import Training
import WeightFiles

/// The weights that a new run begins with, where they are not drawn.
package struct InitialWeightsOptions: ParsableArguments {
  @Option(
    name: .customLong("init"),
    help: ArgumentHelp(
      "Begin a new run with the backbone of this safetensors file: timm, DINO, MAE, transformers, massl.",
      valueName: "file"))
  package var initialWeights: String?

  package init() {}

  /// Refuses what a new run could not begin with, before any process is started.
  /// - Throws: `WeightFileError`, `CheckpointError`, `DurabilityError`.
  package func check(_ configuration: RunConfiguration) throws {
    guard let initialWeights else { return }
    try PretrainedNetwork(initialWeights).check(NetworkArchitecture(configuration))
  }

  /// The same option as arguments, for a process that is started.
  package var arguments: [String] { initialWeights.map { ["--init", $0] } ?? [] }
}
