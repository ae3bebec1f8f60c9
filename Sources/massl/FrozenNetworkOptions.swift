import ArgumentParser
import Checkpoints
import Durability

/// Which frozen network is looked at.
package struct FrozenNetworkOptions: ParsableArguments {
  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory: the teacher of its newest checkpoint, or --step's.", valueName: "folder"))
  package var runDirectory: String?

  @Option(help: ArgumentHelp("The step of a kept checkpoint of --run.", valueName: "step"))
  package var step: Int?

  @Option(
    help: ArgumentHelp(
      "Instead of a run: a safetensors file (exported, of a checkpoint, or a backbone's alone), or a checkpoint's directory.",
      valueName: "path"))
  package var weights: String?

  @OptionGroup(title: "The network of --weights, where the file does not say")
  package var backbone: BackboneFlags

  package init() {}

  package func validate() throws {
    if (runDirectory == nil) == (weights == nil) { throw ValidationError("Give either --run or --weights.") }
    if step != nil, runDirectory == nil { throw ValidationError("--step is the step of a checkpoint of --run.") }
    if runDirectory != nil, let flag = backbone.given.first {
      throw ValidationError("--\(flag.name) is for --weights: a run says itself which network it has.")
    }
  }

  /// The file that holds the network.
  func weightsFile() throws -> String {
    let storage = FileStorage()
    if let runDirectory {
      return try RunDirectory.checkpoint(of: runDirectory, step: step, in: storage).path + "/" + Checkpoint.teacherFile
    }
    let path = weights ?? ""
    let teacher = "\(path)/\(Checkpoint.teacherFile)"
    return try storage.exists(teacher) ? teacher : path
  }
}
