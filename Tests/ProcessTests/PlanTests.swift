import Foundation
import TestSupport
import Testing

/// A plan's bytes are those of a run.
@Suite(.serialized, .ownThreads) struct PlanTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func definition(_ arguments: [String]) throws -> [String: Any] {
    let ended = try Program.run(["plan", "--gflops", "100", "--copy", "10", "--json"] + arguments)
    #expect(ended.status == 0, "\(ended)")
    return try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any])
  }

  private func size(_ path: String) throws -> Int {
    try #require(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
  }

  @Test func checkpointsAndRowsTakeWhatWasPlanned() throws {
    #expect(try Program.run(workshop.arguments("done")).status == 0)
    let planned = try definition(Workshop.recipe)
    let coordinator = try #require((planned["processes"] as? [[String: Any]])?.first)
    let disk = try #require(coordinator["disk"] as? [[String: Any]])
    func bytes(_ content: String) throws -> Int {
      try #require(disk.first { ($0["content"] as? String)?.hasPrefix(content) ?? false }?["bytes"] as? Int)
    }
    let checkpoint = workshop.run("done") + "/checkpoints/step-00000030/"
    let written = try ["student", "teacher", "optimizer"].reduce(0) { try $0 + size("\(checkpoint)\($1).safetensors") }
    // Three are kept and one is written; beside its tensors a file has its header, some kilobytes.
    let each = try bytes("checkpoints") / 4
    #expect(each <= written && written < each + 3 * 16_384, "\(each), \(written)")
    let memory = workshop.run("done") + "/memory"
    let files = try FileManager.default.contentsOfDirectory(atPath: memory).filter { $0.hasPrefix("rows-") }
    let rows = try files.reduce(0) { try $0 + size("\(memory)/\($1)") }
    #expect(try bytes("rows") >= rows && bytes("rows") % rows == 0)
  }

  @Test func peopleAreToldWhatIsUsedUpFirst() throws {
    let ended = try Program.run(
      ["plan", "--gflops", "100", "--copy", "10", "--threads", "2", "--link", "1Mbit"] + Workshop.recipe)
    #expect(ended.status == 0 && ended.output.contains("saturates first: "), "\(ended)")
    #expect(ended.output.contains("1 worker of 2 threads, no shards, links of 1Mbit/s"))
  }

  @Test func copiesWithoutShardsOfTheirOwnAreRefused() throws {
    let ended = try Program.run(
      ["plan", "--gflops", "1", "--copy", "1", "--shards", "1", "--memory-replicas", "2"])
    #expect(
      ended.status == 64
        && ended.errors.contains("memory_replicas is 2, but --shards 1: every copy needs a shard of its own."),
      "\(ended)")
  }
}
