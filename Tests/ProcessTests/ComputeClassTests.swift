import Foundation
import Machine
import TestSupport
import Testing

/// A run has one compute class: the best of the machine that starts it, or the one that it names.
@Suite(.serialized, .ownThreads) struct ComputeClassTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// Of a run, as its directory has it.
  private func computeClass(_ run: String) throws -> String? {
    try String(contentsOfFile: workshop.run(run) + "/config.yaml", encoding: .utf8).split(separator: "\n")
      .first { $0.hasPrefix("compute_class: ") }.map { String($0.dropFirst("compute_class: ".count)) }
  }

  @Test func aRunIsBornWithTheBestClassAndKeepsIt() throws {
    #expect(try Program.run(workshop.arguments("born") + ["--max-steps", "5"]).status == 0)
    #expect(try computeClass("born") == Processor.bestClass(for: .fp32).rawValue)
    let resumed = try Program.run(workshop.arguments("born") + ["--compute-class", "auto"])
    #expect(resumed.status == 0, "\(resumed)")
    let flags = ["--compute-class", Processor.bestClass(for: .fp32).rawValue]
    #expect(try Program.run(workshop.arguments("named") + flags).status == 0)
    #expect(try workshop.digests("born") == workshop.digests("named"))
    let forked = try Program.run([
      "fork", "--run", workshop.run("born"), "--to", workshop.run("forked"), "compute_class=auto",
    ])
    #expect(forked.status == 0, "\(forked)")
    #expect(try computeClass("forked") == Processor.bestClass(for: .fp32).rawValue)
  }

  @Test(arguments: Processor.classes.filter { $0.support(of: .fp32) != .none })
  func bitsDoNotDependOnWorkersInAnyClass(computeClass: ComputeClass) throws {
    let flags = ["--compute-class", computeClass.rawValue]
    #expect(try Program.run(workshop.arguments("one") + flags).status == 0)
    #expect(try Program.run(workshop.arguments("three", workers: 3) + flags + ["--max-steps", "14"]).status == 0)
    // What it was born with is not asked for again.
    #expect(try Program.run(workshop.arguments("three", workers: 2)).status == 0)
    #expect(try workshop.digests("three") == workshop.digests("one"))
  }

  /// What a program is started through, so that it finds no AVX-512. Needs a mount of its own over /proc/cpuinfo, which
  /// only root may have.
  private func narrow() throws -> [String] {
    let old = workshop.folder + "/cpuinfo"
    let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).replacing(" avx512", with: " no512")
    try Data(text.utf8).write(to: URL(fileURLWithPath: old))
    return Program.inMounts("mount --bind \(old) /proc/cpuinfo")
  }

  @Test(.enabled(if: BadInputTests.mayMount), .enabled(if: Processor.classes.contains(.avx512)))
  func aCoordinatorWithoutTheRunsClassLetsOthersCompute() throws {
    let flags = ["--compute-class", "avx512"]
    #expect(try Program.run(workshop.arguments("wide") + flags).status == 0)
    let coordinator = try Program.start(
      workshop.coordinator("apart", "tcp://127.0.0.1:0") + flags + ["--audit-rate", "1"],
      log: workshop.folder + "/apart.log", through: narrow())
    let address = try workshop.address("apart")
    let workers = try ["one", "other"].map {
      try Program.start(["worker", "--coordinator", address, "--data", workshop.data, "--threads", "1", "--host", $0])
    }
    try #require(try coordinator.exit() == 0)
    for worker in workers { #expect(try worker.exit() == 0) }
    let log = try String(contentsOfFile: workshop.folder + "/apart.log", encoding: .utf8)
    #expect(log.contains("This coordinator computes no slices itself: workers of other hosts judge"), "\(log)")
    #expect(try workshop.digests("apart") == workshop.digests("wide"))
    // Its checkpoints say which probe the workers had: a machine that has the class goes on without a word.
    let resumed = try Program.run(workshop.arguments("apart") + flags + ["--max-steps", "40"])
    #expect(resumed.status == 0 && !resumed.errors.contains("round differently"), "\(resumed)")
  }

  @Test(.enabled(if: BadInputTests.mayMount), .enabled(if: Processor.classes.contains(.avx512)))
  func aMachineWithoutTheRunsClassSaysWhatToDoAndJudgesAllTheSame() throws {
    #expect(try Program.run(workshop.arguments("wide") + ["--compute-class", "avx512"]).status == 0)
    let through = try narrow()
    func there(_ arguments: [String]) throws -> Program.Ended { try Program.run(arguments, through: through) }
    let resumed = try there(workshop.arguments("wide") + ["--max-steps", "40"])
    #expect(resumed.status == 65, "\(resumed)")
    #expect(resumed.errors.contains("which compute_class avx512 computes with. It has avx2. Use a processor with AVX-"))
    let judged = try there([
      "evaluate", "knn", "--run", workshop.run("wide"), "--train", workshop.data, "--test", workshop.folder + "/test",
    ])
    #expect(judged.status == 0, "\(judged)")
    #expect(judged.errors.contains("The run's compute_class is avx512, which this machine has not."))
    #expect(try there(["inspect", workshop.run("wide")]).status == 0)
    #expect(try there(["status", "--run", workshop.run("wide")]).status == 0)
    let exported = ["export", "--run", workshop.run("wide"), "--out", workshop.folder + "/teacher.safetensors"]
    #expect(try there(exported).status == 0)
    // Its checkpoint goes on there in a class that it has.
    let forked = ["fork", "--run", workshop.run("wide"), "--to", workshop.run("narrow"), "compute_class=auto"]
    #expect(try there(forked).status == 0)
    #expect(try computeClass("narrow") == "avx2")
    #expect(try there(workshop.arguments("narrow") + ["--max-steps", "40"]).status == 0)
  }
}
