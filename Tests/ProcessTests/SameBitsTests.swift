import Foundation
import Testing

/// Real processes and sockets: whoever computes, and whoever is killed, the weights and the memory end the same.
@Suite(.serialized) struct SameBitsTests {
  /// A folder of pictures and runs on them, removed at the end.
  private final class Workshop {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("massl-\(UUID())").path

    init() throws {
      let synthesis = try start(["synthesize", "--out", folder, "--images", "200"])
      synthesis.waitUntilExit()
      #expect(synthesis.terminationStatus == 0)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func start(_ arguments: [String]) throws -> Process {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: Workshop.executable)
      process.arguments = arguments
      process.standardError = FileHandle.nullDevice
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      return process
    }

    /// The build folder: the test bundle lies in it.
    static var executable: String {
      var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
      while folder.path != "/" {
        folder.deleteLastPathComponent()
        let candidate = folder.appendingPathComponent("massl").path
        if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
      }
      return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent(".build/release/massl").path
    }

    func train(_ run: String, workers: Int) throws -> Process {
      try start([
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

    /// Process numbers of the run's processes whose command line has `word`.
    func processes(_ run: String, _ word: String) -> [pid_t] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
      return names.compactMap { pid_t($0) }.filter { number in
        guard let line = FileManager.default.contents(atPath: "/proc/\(number)/cmdline") else { return false }
        let text = String(decoding: line.map { $0 == 0 ? 32 : $0 }, as: UTF8.self)
        return text.contains(folder) && text.contains(" \(word) ")
      }
    }
  }

  @Test func digestsDoNotDependOnWorkersNorOnKills() throws {
    let workshop = try Workshop()
    let calm = try workshop.train("one", workers: 1)
    calm.waitUntilExit()
    #expect(calm.terminationStatus == 0)
    let expected = try workshop.digests("one")

    for workers in 2...3 {
      let run = try workshop.train("with-\(workers)", workers: workers)
      run.waitUntilExit()
      #expect(try workshop.digests("with-\(workers)") == expected)
    }

    // A worker is killed in the middle; train starts another.
    let bereft = try workshop.train("worker-killed", workers: 2)
    while !workshop.hasCheckpoint("worker-killed"), bereft.isRunning { Thread.sleep(forTimeInterval: 0.01) }
    if let worker = workshop.processes("worker-killed", "worker").first { kill(worker, SIGKILL) }
    bereft.waitUntilExit()
    #expect(try workshop.digests("worker-killed") == expected)

    // All of it is killed, and started again.
    let doomed = try workshop.train("all-killed", workers: 2)
    while !workshop.hasCheckpoint("all-killed"), doomed.isRunning { Thread.sleep(forTimeInterval: 0.01) }
    kill(doomed.processIdentifier, SIGKILL)
    for word in ["coordinator", "worker"] {
      for process in workshop.processes("all-killed", word) { kill(process, SIGKILL) }
    }
    doomed.waitUntilExit()
    let resumed = try workshop.train("all-killed", workers: 1)
    resumed.waitUntilExit()
    #expect(resumed.terminationStatus == 0)
    #expect(try workshop.digests("all-killed") == expected)
  }
}
