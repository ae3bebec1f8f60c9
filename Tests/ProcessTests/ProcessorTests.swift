import Foundation
import Machine
import TestSupport
import Testing
import massl

/// What massl computes does not depend on what OpenBLAS makes of the processor.
@Suite(.ownThreads) struct ProcessorTests {
  private static func cases() throws -> [String] {
    let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Golden").path
    return try FileManager.default.contentsOfDirectory(atPath: golden)
      .filter { $0.hasSuffix(".json") && !$0.hasPrefix("mixed_precision") }.sorted()
      .map { "\(golden)/\($0)" }
  }

  /// Started with another core in the environment, as if OpenBLAS had not known the processor.
  @Test(arguments: Processor.classes.filter { $0.support(of: .fp32) != .none })
  func goldenCasesHoldInEachClassOfThisProcessor(computeClass: ComputeClass) throws {
    let other = ["/usr/bin/env", "OPENBLAS_CORETYPE=Prescott"]
    let cases = try Self.cases()
    let ended = try Program.run(["verify", "--compute-class", computeClass.rawValue] + cases, through: other)
    #expect(ended.status == 0, "\(ended.output)\(ended.errors)")
    #expect(cases.allSatisfy { ended.output.contains($0) } && cases.count >= 8)
  }

  /// It starts itself again in the class of its run, and says what it may use once.
  @Test func aWorkerThatStartsItselfAgainSaysOnceWhatItMayUse() throws {
    let shop = try Workshop()
    let coordinator = try Program.start(shop.coordinator("once", "tcp://127.0.0.1:0"))
    defer { coordinator.terminate() }
    let ended = try Program.run(
      ["worker", "--coordinator", try shop.address("once"), "--data", shop.data],
      through: ["/usr/bin/env", "OPENBLAS_CORETYPE=Prescott", "/usr/bin/taskset", "--cpu-list", "0"])
    #expect(ended.status == 0, "\(ended)")
    #expect(ended.errors.components(separatedBy: "This process may use ").count == 2, "\(ended)")
  }

  /// A user's variables are overruled, in words; those that massl set for another class silently.
  @Test func aUsersVariablesAreOverruledAndNamed() throws {
    let users = ["/usr/bin/env", "-u", "MASSL_COMPUTE_CLASS", "OPENBLAS_CORETYPE=Prescott"]
    let ended = try Program.run(["verify"] + Self.cases().prefix(1), through: users)
    #expect(ended.status == 0)
    let core = Processor.leastClass.coreType
    #expect(
      ended.errors == "OPENBLAS_CORETYPE=Prescott of the environment is not used: compute_class "
        + "\(Processor.leastClass.rawValue) needs \(core).\n")
    #expect(try Program.run(["verify"] + Self.cases().prefix(1), through: Array(users.prefix(1))).errors.isEmpty)
  }

  @Test func aClassThatTheProcessorLacksIsRefused() throws {
    guard let missing = ComputeClass.allCases.first(where: { !Processor.classes.contains($0) }) else { return }
    let ended = try Program.run(["verify", "--compute-class", missing.rawValue] + Self.cases())
    #expect(ended.status == 65 && ended.errors.contains("This processor lacks "), "\(ended)")
  }

  @Test func theVersionNamesLibrariesAndClasses() throws {
    let ended = try Program.run(["--version"])
    #expect(ended.status == 0 && ended.errors.isEmpty)
    let lines = ended.output.split(separator: "\n")
    let names: [Substring] = [
      "massl", "commit", "OpenBLAS", "oneDNN", "ZeroMQ", "libjpeg", "libpng", "libwebp", "classes",
    ]
    #expect(lines.map { $0.prefix { $0 != " " } } == names)
    try #require(lines.count == names.count)
    #expect(lines.last?.hasSuffix(Processor.classes.map(\.rawValue).joined(separator: ", ")) == true)
    for version in [lines[4], lines[6], lines[7]] { #expect(version.split(separator: ".").count == 3, "\(version)") }
  }
}
