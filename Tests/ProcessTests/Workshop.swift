import Foundation
import TestSupport
import Testing

/// A folder of pictures and runs on them, removed at the end.
final class Workshop {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("massl-\(UUID())").path

  init() throws {
    #expect(try Program.run(["synthesize", "--out", folder, "--images", "200"]).status == 0)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  /// 160 pictures.
  var data: String { folder + "/train" }

  func run(_ name: String) -> String { folder + "/" + name }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: folder + "/" + name) }

  /// Makes an empty folder.
  func folder(_ name: String) throws -> String {
    try FileManager.default.createDirectory(atPath: folder + "/" + name, withIntermediateDirectories: true)
    return folder + "/" + name
  }

  func copyOfPictures(_ name: String) throws -> String {
    try FileManager.default.copyItem(atPath: data, toPath: folder + "/" + name)
    return folder + "/" + name
  }

  /// The path of some picture.
  var onePicture: String {
    let names = FileManager.default.enumerator(atPath: data)?.compactMap { $0 as? String } ?? []
    return data + "/" + (names.first { $0.hasSuffix(".jpg") } ?? "")
  }
}

// MARK: - Runs

extension Workshop {
  /// A network so small that a step takes milliseconds; four slices a step, 30 steps.
  static let recipe = [
    "--embed-dim", "48", "--depth", "2", "--num-heads", "3", "--patch-size", "8", "--image-size", "32", "--local-size",
    "16", "--local-crops-number", "2", "--head-hidden-dim", "64", "--bottleneck-dim", "32", "--batch-size", "16",
    "--slice-size", "4", "--epochs", "40", "--memory-size", "256", "--block-size", "64", "--max-steps", "30",
    "--checkpoint-every-steps", "5",
  ]

  func arguments(_ run: String, workers: Int = 1) -> [String] {
    ["train", "--data", data, "--run", self.run(run), "--workers", "\(workers)"] + Self.recipe
  }

  func train(_ run: String, workers: Int, _ flags: [String] = []) throws -> Process {
    try Program.start(arguments(run, workers: workers) + flags)
  }

  func coordinator(_ run: String, _ listen: String) -> [String] {
    ["coordinator", "--data", data, "--run", self.run(run), "--listen", listen] + Self.recipe
  }

  /// Where a run's coordinator listens, once it does.
  func address(_ run: String) throws -> String {
    let path = self.run(run) + "/coordinator.address"
    let isThere = eventually(within: 20) { FileManager.default.fileExists(atPath: path) }
    try #require(isThere, "the coordinator of run \(run) did not say where it listens")
    return try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Digests of student, teacher and memory in the checkpoint of a step, by default of the last.
  func digests(_ run: String, step: Int = 30) throws -> [String] {
    let digits = "\(step)"
    let name = "step-" + String(repeating: "0", count: 8 - digits.count) + digits
    let path = self.run(run) + "/checkpoints/\(name)/manifest.json"
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let manifest = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    return try ["student", "teacher", "memory"].map { try #require(manifest[$0] as? String) }
  }

  /// Steps that have a checkpoint, oldest first: which ones beside the last depends on how fast the disk is.
  func steps(_ run: String) -> [Int] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: self.run(run) + "/checkpoints")) ?? []
    return names.filter { $0.hasPrefix("step-") }.compactMap { Int($0.dropFirst(5)) }.sorted()
  }

  /// The names of the memory's whole files in a directory of the workshop's folder, in order.
  func extents(in directory: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/" + directory)) ?? []
    return names.filter { $0.hasPrefix("rows-") && !$0.contains("part") }.sorted()
  }

  func hasCheckpoint(_ run: String) -> Bool { !steps(run).isEmpty }

  /// Returns when the run has a checkpoint, or the process that makes it has ended.
  func awaitCheckpoint(_ run: String, of process: Process) throws {
    let isThere = eventually(within: 60) { hasCheckpoint(run) || !process.isRunning }
    try #require(isThere, "run \(run) has no checkpoint after a minute")
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
