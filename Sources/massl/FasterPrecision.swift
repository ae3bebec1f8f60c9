import Configuration
import Machine

/// What a run would gain by another precision on this machine.
package enum FasterPrecision {
  /// Nil where there is nothing to gain.
  /// - Parameter classes: of this machine's processor.
  package static func sentence(
    instead precision: PrecisionName, on classes: [ComputeClass] = Processor.classes
  ) -> String? {
    guard precision == .fp32, classes.contains(where: { $0.support(of: .bf16) == .native }) else { return nil }
    return "This processor multiplies bf16 itself: --precision bf16 would be faster."
  }
}
