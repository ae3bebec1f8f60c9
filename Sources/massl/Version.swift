import CVersion
import Machine
import Numerics
import Vision
import Wire

/// What a report of a fault should say of this program.
enum Version {
  /// No release has been made yet.
  private static let number = "0.1.0, unreleased"

  /// A line each.
  static var text: String {
    let commit = String(cString: massl_commit())
    let classes = Processor.classes.map(\.rawValue).joined(separator: ", ")
    return """
      massl     \(number)
      commit    \(commit.isEmpty ? "unknown: built by 'swift build', which does not say; 'make build' does" : commit)
      OpenBLAS  \(OpenBLAS.release)
      oneDNN    \(OneDNN.release ?? "none that is known here: precision bf16 needs it")
      ZeroMQ    \(ZeroMQLibrary.version)
      libjpeg   \(JPEGLibrary.version)
      classes   \(classes)
      """
  }
}
