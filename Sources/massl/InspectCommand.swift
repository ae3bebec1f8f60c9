import ArgumentParser
import Checkpoints
import Durability
import Foundation
import Telemetry
import Vision

/// `massl inspect`: what is in a file or a directory.
package struct InspectCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Say what is in a run directory, a checkpoint, a safetensors file or a data set, and check its digests.",
    discussion: """
      Two data sets with the same digest are the same to a run, whether they are a folder, a list or tars. The exit code is 1
      if a checkpoint is damaged.
      """)

  @Argument(
    help: ArgumentHelp("Run directory, checkpoint directory, safetensors file, or pictures.", valueName: "path"))
  package var path: String

  @Flag(help: "One JSON object on standard output.")
  package var json = false

  package init() {}

  package func run() throws {
    if let data = try dataSet() {
      let summary = DataSetSummary(data)
      return try json ? StandardOutput.write(json: summary.json()) : StandardOutput.write(summary.text())
    }
    let inspection = try Inspection(of: path, in: FileStorage())
    try json ? StandardOutput.write(json: inspection.json()) : StandardOutput.write(inspection.text())
    if inspection.isDamaged { throw ExitStatus.failed.code }
  }

  /// Nil for what is none: also a folder that is neither a run nor a checkpoint and has no pictures.
  private func dataSet() throws -> DataSet? {
    guard isFolder(path) else { return DataSet.isOne(path) ? try DataSet(root: path) : nil }
    let storage = FileStorage()
    guard try !RunDirectory.isRun(path, in: storage), try !storage.exists("\(path)/\(Checkpoint.manifestFile)") else {
      return nil
    }
    do {
      return try DataSet(root: path)
    } catch {
      switch error {
      case .emptyFolder, .noPictures: return nil
      default: throw error
      }
    }
  }
}
