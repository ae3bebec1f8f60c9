import Foundation
import TestSupport
import Testing

/// Real processes and sockets: whoever computes, and whoever is killed, the weights and the memory end the same.
@Suite(.serialized, .ownThreads) struct SameBitsTests {
  @Test func digestsDoNotDependOnWorkersNorOnKills() throws {
    let workshop = try Workshop()
    let calm = try workshop.train("one", workers: 1)
    #expect(try calm.exit() == 0)
    let expected = try workshop.digests("one")

    for workers in 2...3 {
      let run = try workshop.train("with-\(workers)", workers: workers)
      #expect(try run.exit() == 0)
      #expect(try workshop.digests("with-\(workers)") == expected)
    }

    // A worker is killed in the middle; train starts another.
    let bereft = try workshop.train("worker-killed", workers: 2)
    try workshop.awaitCheckpoint("worker-killed", of: bereft)
    if let worker = workshop.processes("worker").first { kill(worker, SIGKILL) }
    #expect(try bereft.exit() == 0)
    #expect(try workshop.digests("worker-killed") == expected)

    // All of it is killed, and started again.
    let doomed = try workshop.train("all-killed", workers: 2)
    try workshop.awaitCheckpoint("all-killed", of: doomed)
    kill(doomed.processIdentifier, SIGKILL)
    for word in ["coordinator", "worker"] {
      for process in workshop.processes(word) { kill(process, SIGKILL) }
    }
    try doomed.exit()
    let resumed = try workshop.train("all-killed", workers: 1)
    #expect(try resumed.exit() == 0)
    #expect(try workshop.digests("all-killed") == expected)
  }

  @Test func registersAndLayerScaleHaveOneResultToo() throws {
    let workshop = try Workshop()
    let flags = ["--registers", "3", "--layer-scale", "0.01"]
    var digests: [[String]] = []
    for workers in 1...3 {
      #expect(try Program.run(workshop.arguments("of-\(workers)", workers: workers) + flags).status == 0)
      digests.append(try workshop.digests("of-\(workers)"))
    }
    #expect(Set(digests).count == 1)
    // Resumed without them it stays what it is; asked for another network, it refuses.
    #expect(try Program.run(workshop.arguments("of-1")).status == 0)
    let refused = try Program.run(workshop.arguments("of-1") + ["--registers", "2"])
    #expect(refused.status == 64 && refused.errors.contains("was started with registers 3, not 2"), "\(refused)")
    let plain = try Program.run(workshop.arguments("plain"))
    #expect(try plain.status == 0 && workshop.digests("plain") != digests[0])
  }

  /// Rows as halves, in small files, drawn in granules: the same whether each is fetched once or every time, and where a
  /// run was stopped in between, with or without a cache in the coordinator.
  @Test func halfPrecisionRowsHaveOneResultToo() throws {
    let workshop = try Workshop()
    func arguments(_ run: String, _ extra: [String], workers: Int = 1) -> [String] {
      workshop.arguments(run, workers: workers)
        + ["--memory-dtype", "fp16", "--memory-granule", "4", "--extent-rows", "24"] + extra
    }
    #expect(try Program.run(arguments("cached", [])).status == 0)
    let expected = try workshop.digests("cached")
    #expect(try Program.run(arguments("fetched", ["--row-cache", "0"], workers: 2)).status == 0)
    #expect(try workshop.digests("fetched") == expected)
    #expect(try Program.run(arguments("stopped", ["--row-cache", "5kB", "--max-steps", "14"])).status == 0)
    #expect(try Program.run(arguments("stopped", [])).status == 0)
    #expect(try workshop.digests("stopped") == expected)
    let names = try FileManager.default.contentsOfDirectory(atPath: workshop.run("cached") + "/memory")
    #expect(names.contains("rows-000000000240") && names.contains("extents.json"))

    // A step computed again from the files ends where the run did.
    let replayed = try Program.run([
      "replay", "--run", workshop.run("cached"), "--data", workshop.data, "--step", "29",
    ])
    #expect(replayed.status == 0 && replayed.output.contains(expected[2]), "\(replayed)")

    let other = try Program.run(workshop.arguments("cached"))
    #expect(other.status == 0, "keys that are not given stay")
    let refused = try Program.run(workshop.arguments("cached") + ["--memory-dtype", "fp32"])
    #expect(
      refused.status == 64 && refused.errors.contains("was started with memory_dtype fp16, not fp32"), "\(refused)")
  }
}
