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

/// How a network is written.
package enum ExportFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// One file: backbone and head, with the names of the reference's state dict.
  case reference
  /// A folder: the backbone with timm's names, and a config.json.
  case timm
  /// A file: the backbone as a graph that onnxruntime and others run.
  case onnx
}

/// `massl export`: a network's weights as a file, or a folder for timm.
package struct ExportCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a run's network: as safetensors, as a folder that timm loads, or as an ONNX graph.",
    discussion: """
      --format reference writes one file, with the names of the reference's state dict. Its metadata hold the run, the step
      and the configuration, so it can be evaluated by itself.
      --format timm writes a folder with the backbone, model.safetensors and config.json. In Python:
      timm.create_model("local-dir:teacher", pretrained=True) gives the network, whose outputs are massl's features.
      --format onnx writes the backbone as an ONNX graph, from pictures [batch, 3, height, width] to features
      [batch, width] and tokens [batch, tokens, width]. Batch and sides are free; sides are multiples of the patch size.
      Pixels are from 0 to 1, less the metadata's mean, divided by its std.

        massl export --run runs/first --out teacher.safetensors
        massl export --run runs/first --format timm --out teacher
        massl export --run runs/first --format onnx --out teacher.onnx
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory: its newest checkpoint, or --step's.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("The step of a kept checkpoint.", valueName: "step"))
  package var step: Int?

  @Option(help: "Which network.")
  package var network: NetworkName = .teacher

  @Option(help: "What is written.")
  package var format: ExportFormat = .reference

  @Option(help: ArgumentHelp("The file or folder to write; what is there is replaced.", valueName: "path"))
  package var out: String

  package init() {}

  package func run() throws {
    let storage = FileStorage()
    let checkpoint = try RunDirectory.checkpoint(of: runDirectory, step: step, in: storage)
    let manifest = checkpoint.manifest
    let export = try NetworkExport(network.file, of: checkpoint, in: storage)
    let tensors =
      switch format {
      case .reference: try export.write(to: out)
      case .timm: try export.write(toTimmFolder: out)
      case .onnx: try export.write(toONNX: out)
      }
    try StandardOutput.write(
      "\(out): \(network.rawValue) of run \(manifest.run) at step \(manifest.step), \(tensors) tensors")
  }
}
