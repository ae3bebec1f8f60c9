import Checkpoints
import Configuration
import Durability
import Networks
import Numerics
import Optimization
import Runs
import Services
import TestSupport
import Testing

@Suite("Foreign bytes are a run's status, or are refused")
struct FuzzTests {
  private static let filter = "ServicesTests.FuzzTests"
  private static let manifest = "run/checkpoints/step-00000007/manifest.json"

  private struct None: Error {}

  /// A run whose only checkpoint has no tensors.
  private static func storage() throws -> SimulatedStorage {
    let storage = SimulatedStorage()
    let configuration = try RunConfiguration(layers: [SmallRun.layer()]).yaml()
    let data = DataRecord(count: 12, digest: Digest(high: 9, low: 10))
    var random = SplitMix64(seed: 1)
    let run = try RunDirectory.open("run", configuration: configuration, data: data, in: storage, random: &random)
    let digest = Digest(high: 3, low: 4)
    try run.checkpoints().write(
      CheckpointContent(student: [], teacher: [], optimizer: []),
      Manifest(
        run: run.run, incarnation: 3, step: 7, epoch: 3, student: digest, teacher: digest, memory: digest, rows: 42,
        floor: 0, oldestRow: 26, data: data, configuration: configuration, changes: [],
        optimizer: OptimizerRecord(kind: "adamw", steps: 7)))
    return storage
  }

  /// Sizes, schedules and orders follow from whatever a manifest says, under a digest that matches.
  @Test func manifestsOfStoppedRuns() throws {
    let storage = try Self.storage()
    let report = Fuzzing("stopped runs", percent: 2, filter: Self.filter).run(
      corpus: [try storage.readWhole(Self.manifest, limit: 1 << 20)],
      refusing: {
        $0 is CheckpointError || $0 is DurabilityError || $0 is ConfigurationError || $0 is NetworkError
          || $0 is OptimizationError
      }
    ) { input, _ in
      let file = try storage.open(Self.manifest, .replacing)
      try sealed(input).withUnsafeBytes { try file.write($0, at: 0) }
      try file.synchronize()
      let status = try RunStatus(ofStoppedRunAt: "run", in: storage)
      guard RunStatus(json: status.json()) != nil else { throw Fuzzing.Mistake("cannot be read again") }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > report.accepted)
  }

  @Test func statusOfACoordinator() throws {
    let status = try RunStatus(ofStoppedRunAt: "run", in: Self.storage())
    let report = Fuzzing("statuses", percent: 1, filter: Self.filter).run(
      corpus: [Array(status.json().utf8)], refusing: { $0 is None }
    ) { input, _ in
      guard let status = RunStatus(json: String(decoding: input, as: UTF8.self)) else { throw None() }
      guard RunStatus(json: status.json()) != nil else { throw Fuzzing.Mistake("cannot be read again") }
    }
    #expect(report.failures == [])
    #expect(!report.isWhole || report.accepted > 0 && report.refused > 0)
  }
}
