import ArgumentParser
import Foundation
import Services

/// TensorBoard's files beside a run, of the commands that start one.
package struct TensorBoardOptions: ParsableArguments {
  @Flag(help: "Write TensorBoard's files to RUN/tensorboard, by a process of its own.")
  package var tensorboard = false

  package init() {}

  /// Starts the process that writes them; nil if none are wanted.
  func process(of place: RunOptions, log: @escaping ServiceLog) -> CompanionProcess? {
    guard tensorboard else { return nil }
    return CompanionProcess(
      "TensorBoard writer",
      arguments: ["tensorboard", "--run", place.run, "--data", place.data, "--beside"], hearsTheEnd: true, log: log)
  }
}
