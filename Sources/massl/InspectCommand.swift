import ArgumentParser
import Checkpoints
import Durability
import Foundation
import Telemetry

/// `massl inspect`: what is in a file or a directory.
package struct InspectCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what is in a run directory, a checkpoint or a safetensors file, and check its digests.",
    discussion: "The exit code is 1 if a checkpoint is damaged.")

  @Argument(help: ArgumentHelp("Run directory, checkpoint directory, or safetensors file.", valueName: "path"))
  package var path: String

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  package init() {}

  package func run() throws {
    let inspection = try Inspection(of: path, in: FileStorage())
    try json ? StandardOutput.write(json: inspection.json()) : StandardOutput.write(inspection.text())
    if inspection.isDamaged { throw ExitStatus.failed.code }
  }
}
