import CVersion
import Machine
import Numerics
import Vision
import Wire

/// What a report of a fault should say of this program.
enum Version {
  /// No release has been made yet.
  private static let number = "0.1.0, unreleased"

  private static var commit: String {
    let commit = String(cString: massl_commit())
    return commit.isEmpty ? "unknown: built by 'swift build', which does not say; 'make build' does" : commit
  }

  /// What tells one build from another, as far as that is known.
  static var line: String { "\(number), commit \(commit)" }

  /// A line each.
  static var text: String {
    let classes = Processor.classes.map(\.rawValue).joined(separator: ", ")
    return """
      massl     \(number)
      commit    \(commit)
      OpenBLAS  \(OpenBLAS.release)
      oneDNN    \(OneDNN.release ?? "none that is known here: precision bf16 needs it")
      ZeroMQ    \(ZeroMQLibrary.version)
      libjpeg   \(JPEGLibrary.version)
      libpng    \(PNGLibrary.version)
      libwebp   \(WebPLibrary.version)
      classes   \(classes)
      """
  }
}
