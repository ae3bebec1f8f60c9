import Foundation
import Machine
import Numerics
import TestSupport
import Testing

/// A run in bf16 has the same bits for any workers, and where it cannot be computed a sentence says so.
@Suite(.serialized, .ownThreads) struct MixedPrecisionTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private static let flags = ["--precision", "bf16"]

  private static let hasClass = Processor.bestClass(for: .bf16).support(of: .bf16) != .none

  /// A setting of a run, as its directory has it.
  private func setting(_ key: String, of run: String) throws -> String? {
    try String(contentsOfFile: workshop.run(run) + "/config.yaml", encoding: .utf8).split(separator: "\n")
      .first { $0.hasPrefix("\(key): ") }.map { String($0.dropFirst(key.count + 2)) }
  }

  @Test(.enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing"))
  func bitsDoNotDependOnWorkersKillsOrResumes() throws {
    let one = try Program.run(workshop.arguments("one") + Self.flags)
    #expect(one.status == 0, "\(one)")
    let best = Processor.bestClass(for: .bf16)
    #expect(try setting("precision", of: "one") == "bf16" && setting("compute_class", of: "one") == best.rawValue)
    let isEmulated = best.support(of: .bf16) == .emulated
    #expect(
      one.errors.components(separatedBy: "precision bf16 is emulated").count == (isEmulated ? 2 : 1), "\(one.errors)")
    // Another massl's leftovers change nothing; what it was born with is not asked for again.
    let three = try workshop.train("three", workers: 3, Self.flags)
    try workshop.awaitCheckpoint("three", of: three)
    kill(three.processIdentifier, SIGKILL)
    three.waitUntilExit()
    #expect(
      eventually(within: 60) { workshop.processes("worker").isEmpty && workshop.processes("coordinator").isEmpty })
    let resumed = try Program.run(workshop.arguments("three", workers: 2))
    #expect(resumed.status == 0, "\(resumed)")
    #expect(try workshop.digests("three") == workshop.digests("one"))
    // It is another run than in fp32, and never becomes one.
    #expect(try Program.run(workshop.arguments("floats")).status == 0)
    #expect(try workshop.digests("floats") != workshop.digests("one"))
    let refused = try Program.run(workshop.arguments("one") + ["--precision", "fp32", "--max-steps", "40"])
    #expect(refused.status == 64 && refused.errors.contains("was started with precision bf16, not fp32"), "\(refused)")
    // Its step is computed again to the same bits, its checkpoint goes on in fp32, and its features are judged.
    #expect(
      try Program.run(["replay", "--run", workshop.run("one"), "--step", "29", "--data", workshop.data]).output
        .contains(workshop.digests("one")[0]))
    let forked = try Program.run([
      "fork", "--run", workshop.run("one"), "--to", workshop.run("forked"), "precision=fp32", "compute_class=auto",
    ])
    #expect(forked.status == 0, "\(forked)")
    #expect(try setting("compute_class", of: "forked") == Processor.bestClass(for: .fp32).rawValue)
    let status = try Program.run(["status", "--run", workshop.run("one"), "--json"])
    #expect(status.output.contains("\"precision\":\"bf16\""), "\(status)")
    let judged = try Program.run([
      "evaluate", "knn", "--run", workshop.run("one"), "--train", workshop.data, "--test", workshop.folder + "/test",
    ])
    #expect(judged.status == 0, "\(judged)")
  }

  @Test(.enabled(if: hasClass, "AVX-512 is missing"))
  func withoutTheLibraryItIsSaidWhatToInstallAndFloatsGoOn() throws {
    let empty = try workshop.folder("libraries")
    for name in ["libdnnl.so.2", "libdnnl.so.3"] { try Data().write(to: URL(fileURLWithPath: "\(empty)/\(name)")) }
    let there = ["/usr/bin/env", "LD_LIBRARY_PATH=\(empty)"]
    let ended = try Program.run(workshop.arguments("missing") + Self.flags, through: there)
    #expect(ended.status == 65, "\(ended)")
    #expect(ended.errors.contains("precision bf16 multiplies by oneDNN, which cannot be loaded"), "\(ended.errors)")
    #expect(ended.errors.contains("Install it (Debian and Ubuntu: libdnnl3; Debian 12: libdnnl2)"), "\(ended.errors)")
    #expect(try Program.run(workshop.arguments("floats") + ["--max-steps", "2"], through: there).status == 0)
    #expect(try Program.run(["--version"], through: there).output.contains("oneDNN    none that is known here"))
  }

  @Test func aClassWithoutItIsRefused() throws {
    let least = Processor.leastClass.rawValue
    let ended = try Program.run(workshop.arguments("narrow") + Self.flags + ["--compute-class", least])
    #expect(ended.status == 65 && ended.errors.contains("compute_class \(least) has no products in bf16."), "\(ended)")
    #expect(!workshop.exists("narrow"))
  }

  /// Needs a mount of its own over /proc/cpuinfo, which only root may have.
  @Test(
    .enabled(if: BadInputTests.mayMount), .enabled(if: OneDNN.isUsable, "libdnnl, or AVX-512, is missing"),
    .enabled(if: Processor.bestClass(for: .bf16) == .avx512, "this processor multiplies bf16 itself"))
  func aProcessorThatMultipliesItIsNamedAndTaken() throws {
    let old = workshop.folder + "/cpuinfo"
    let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
      .replacing(" avx512f ", with: " avx512f avx512_bf16 ")
    try Data(text.utf8).write(to: URL(fileURLWithPath: old))
    func there(_ arguments: [String]) throws -> Program.Ended {
      try Program.run(arguments, through: Program.inMounts("mount --bind \(old) /proc/cpuinfo"))
    }
    let floats = try there(workshop.arguments("floats") + ["--max-steps", "2"])
    #expect(floats.status == 0)
    #expect(
      floats.errors.contains("This processor multiplies bf16 itself: --precision bf16 would be faster."), "\(floats)")
    #expect(try setting("compute_class", of: "floats") == "avx512")
    let halves = try there(workshop.arguments("halves") + Self.flags + ["--max-steps", "2"])
    #expect(halves.status == 0 && !halves.errors.contains("emulated"), "\(halves)")
    #expect(try setting("compute_class", of: "halves") == "avx512_bf16")
  }
}
