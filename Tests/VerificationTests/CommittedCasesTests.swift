import Foundation
import Testing
import Verification

/// The small cases of `Tests/Golden`, written by `Scripts/golden` from PyTorch, NumPy and Pillow.
@Suite struct CommittedCasesTests {
  @Test(arguments: [
    "adamw", "batchnorm_head", "mean_pooling", "koleo", "lars", "sgd", "augment", "schedules",
  ]) func isWithinItsBounds(name: String) throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let comparisons = try GoldenCase.replay(tests.appendingPathComponent("Golden/\(name).json").path)
    #expect(comparisons.count >= 5)
    for comparison in comparisons {
      #expect(comparison.isWithin, "\(comparison.quantity): \(comparison.difference), over \(comparison.bound)")
    }
  }
}
