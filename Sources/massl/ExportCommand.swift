import ArgumentParser
import Checkpoints
import Durability
import Runs
import Services
import Telemetry

/// Which of a run's two networks.
package enum NetworkName: String, ExpressibleByArgument, CaseIterable, Sendable {
  case teacher, student

  /// In a checkpoint.
  var file: String {
    switch self {
    case .teacher: Checkpoint.teacherFile
    case .student: Checkpoint.studentFile
    }
  }
}

/// `massl export`: a network's weights as one file.
package struct ExportCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a run's network to one safetensors file, with the names of the reference's state dict.",
    discussion: """
      The file's metadata hold the run, the step and the configuration, so it can be evaluated by itself.

        massl export --run runs/first --out teacher.safetensors
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory: its newest checkpoint, or --step's.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The step of a kept checkpoint.", valueName: "step"))
  package var step: Int?

  @Option(help: "Which network.")
  package var network: NetworkName = .teacher

  @Option(help: ArgumentHelp("The file to write; one that is there is replaced.", valueName: "file"))
  package var out: String

  package init() {}

  package func run() throws {
    let storage = FileStorage()
    let checkpoint = try RunDirectory.checkpoint(of: runDirectory, step: step, in: storage)
    let manifest = checkpoint.manifest
    let tensors = try exportNetwork(network.file, of: checkpoint, to: out, in: storage)
    try StandardOutput.write(
      "\(out): \(network.rawValue) of run \(manifest.run) at step \(manifest.step), \(tensors) tensors")
  }
}
