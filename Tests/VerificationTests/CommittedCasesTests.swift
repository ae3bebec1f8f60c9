import Foundation
import Numerics
import Testing
import Verification

/// The small cases of `Tests/Golden`, written by `Scripts/golden` from PyTorch, NumPy and Pillow.
@Suite struct CommittedCasesTests {
  /// Of the step's tensors, each nearer to fp32 than 1.5 times what PyTorch's autocast is.
  @Test(
    .enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing"),
    arguments: ["mixed_precision", "mixed_precision_registers"])
  func mixedPrecisionIsAsNearAsAutocast(name: String) throws { try check(name) }

  @Test(arguments: [
    "adamw", "batchnorm_head", "mean_pooling", "koleo", "lars", "sgd", "layer_scale", "registers",
    "registers_mean_pooling", "timm_layer_scale", "timm_registers", "timm_registers_mean_pooling",
    "timm_registers_with_positions", "augment", "schedules",
  ]) func isWithinItsBounds(name: String) throws { try check(name) }

  private func check(_ name: String) throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let comparisons = try GoldenCase.replay(tests.appendingPathComponent("Golden/\(name).json").path)
    #expect(comparisons.count >= 5)
    for comparison in comparisons {
      #expect(comparison.isWithin, "\(comparison.quantity): \(comparison.difference), over \(comparison.bound)")
    }
  }
}
