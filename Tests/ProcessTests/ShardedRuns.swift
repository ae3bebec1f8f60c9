import Foundation
import TestSupport
import Testing

/// Runs whose memory has many small files, and shards that hold them.
///
/// All begin as copies of one run that was trained without shards to step 30: from there on there are rows to move, at
/// whatever pace, and ten steps until the digests are compared.
final class ShardedRuns {
  let workshop: Workshop
  /// Whoever still runs at the end is killed.
  private var started: [Process] = []
  /// Twelve files in the memory of a step.
  static let recipe = [
    "--extent-rows", "32", "--memory-size", "384", "--max-steps", "40", "--checkpoint-every-steps", "3",
  ]

  private struct Origin: @unchecked Sendable {
    // Never written once it is made.
    let workshop: Workshop
    let digests: [String]
  }

  private static let origin = Result {
    let workshop = try Workshop()
    // With one checkpoint: all its rows may leave the coordinator's files.
    let begun = workshop.arguments("begun") + recipe + ["--max-steps", "30", "--keep-checkpoints", "1"]
    #expect(try Program.run(begun).status == 0)
    #expect(try Program.run(workshop.arguments("calm") + recipe).status == 0)
    return Origin(workshop: workshop, digests: try workshop.digests("calm", step: 40))
  }

  init() throws { workshop = try Workshop() }

  deinit { for process in started where process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  /// Those of a run without shards, at step 40.
  func expected() throws -> [String] { try Self.origin.get().digests }

  /// A run at step 30.
  func begin(_ run: String) throws {
    try FileManager.default.copyItem(atPath: Self.origin.get().workshop.run("begun"), toPath: workshop.run(run))
    try? FileManager.default.removeItem(atPath: workshop.run(run) + "/coordinator.address")
  }

  // MARK: Processes

  private func start(_ arguments: [String], log: String?, through: [String] = []) throws -> Process {
    let process = try Program.start(arguments, log: log, through: through)
    started.append(process)
    return process
  }

  /// - Parameter listen: its address; loopback's, with any port, unless told otherwise.
  func coordinator(_ run: String, _ extra: [String] = [], listen: String = "tcp://127.0.0.1:0") throws -> Process {
    try start(workshop.coordinator(run, listen) + Self.recipe + extra, log: workshop.folder + "/\(run).log")
  }

  func worker(_ address: String, _ extra: [String] = [], log: String? = nil) throws -> Process {
    try start(
      ["worker", "--coordinator", address, "--threads", "1", "--row-cache", "0"] + extra,
      log: log.map { workshop.folder + "/\($0).log" })
  }

  /// - Parameter through: as `Program.start` has it.
  func shard(_ address: String, _ name: String, _ extra: [String] = [], through: [String] = []) throws -> Process {
    try start(
      [
        "memory", "--coordinator", address, "--capacity", "64MiB", "--directory", directory(name), "--host", name,
      ] + extra, log: workshop.folder + "/\(name).log", through: through)
  }

  // MARK: What there is to see

  func directory(_ shard: String) -> String { workshop.folder + "/" + shard }

  func log(_ name: String) -> String {
    (try? String(contentsOfFile: workshop.folder + "/\(name).log", encoding: .utf8)) ?? ""
  }

  func list(_ address: String, _ security: [String] = []) throws -> [String: Any] {
    let ended = try Program.run(["memory", "list", "--coordinator", address, "--json"] + security)
    return try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any])
  }

  func shards(_ address: String, _ security: [String] = []) throws -> [[String: Any]] {
    try list(address, security)["shards"] as? [[String: Any]] ?? []
  }

  /// Of the rows' files in a shard's directory, whole ones.
  func files(_ shard: String) -> [String] {
    workshop.extents(in: shard).map { directory(shard) + "/" + $0 }
  }

  func await(_ what: String, seconds: Double = 30, _ condition: () throws -> Bool) throws {
    let cameAbout = try eventually(within: seconds, condition)
    try #require(cameAbout, "\(what) did not come about")
  }

  /// Until the coordinator let go of all files.
  func awaitRelease(_ address: String, _ security: [String] = []) throws {
    try self.await("the release of files") {
      let list = try list(address, security)
      return list["local_extents"] as? Int == 0
    }
  }

  /// Turns a bit of some row of each file.
  func damage(_ files: [String]) throws {
    for file in files {
      let handle = try FileHandle(forUpdating: URL(fileURLWithPath: file))
      try handle.seek(toOffset: 600)
      let byte = try #require(try handle.read(upToCount: 1)?.first)
      try handle.seek(toOffset: 600)
      try handle.write(contentsOf: [byte ^ 1])
      try handle.close()
    }
  }
}
