import Foundation
import TestSupport
import Testing

/// A folder of pictures and runs on them, removed at the end.
final class Workshop {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("massl-\(UUID())").path

  init() throws {
    let synthesis = try Program.start(["synthesize", "--out", folder, "--images", "200"])
    synthesis.waitUntilExit()
    #expect(synthesis.terminationStatus == 0)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func train(_ run: String, workers: Int) throws -> Process {
    try Program.start([
      "train", "--data", folder + "/train", "--run", folder + "/" + run, "--workers", "\(workers)", "--embed-dim",
      "48", "--depth", "2", "--num-heads", "3", "--patch-size", "8", "--image-size", "32", "--local-size", "16",
      "--local-crops-number", "2", "--head-hidden-dim", "64", "--bottleneck-dim", "32", "--batch-size", "16",
      "--slice-size", "4", "--epochs", "40", "--memory-size", "256", "--block-size", "64", "--max-steps", "30",
      "--checkpoint-every-steps", "5",
    ])
  }

  /// Digests of student, teacher and memory after 30 steps.
  func digests(_ run: String) throws -> [String] {
    let path = folder + "/" + run + "/checkpoints/step-00000030/manifest.json"
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let manifest = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    return try ["student", "teacher", "memory"].map { try #require(manifest[$0] as? String) }
  }

  func hasCheckpoint(_ run: String) -> Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/" + run + "/checkpoints")) ?? []
    return names.contains { $0.hasPrefix("step-") }
  }

  /// Process numbers of this workshop's processes whose command line has `word`.
  func processes(_ word: String) -> [pid_t] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { pid_t($0) }.filter { number in
      guard let line = FileManager.default.contents(atPath: "/proc/\(number)/cmdline") else { return false }
      let text = String(decoding: line.map { $0 == 0 ? 32 : $0 }, as: UTF8.self)
      return text.contains(folder) && text.contains(" \(word) ")
    }
  }
}
