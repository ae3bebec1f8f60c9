import Checkpoints
import Numerics
import TestSupport
import Testing

@Suite("Numbers that nobody counts up to are damage, even under a digest that matches")
struct HostileNumbersTests {
  @Test(arguments: ["-1", "9223372036854775807", "281474976710656"])
  func aManifestsStep(number: String) throws {
    let storage = SimulatedStorage()
    try storage.makeDurableDirectory("run")
    let directory = try CheckpointDirectory("run/checkpoints", in: storage)
    try directory.write(Fixture(1).content, Fixture.manifest(step: 1))
    try directory.write(Fixture(1).content, Fixture.manifest(step: 7))
    let path = "run/checkpoints/step-00000007/manifest.json"
    let text = String(decoding: try storage.readWhole(path, limit: 1 << 20), as: UTF8.self)
    let changed = text.replacing("\"step\" : 7", with: "\"step\" : \(number)")
    try storage.write(sealed(Array(changed.utf8)), to: path)
    let (newest, damaged) = try directory.newestWhole()
    #expect(newest?.manifest.step == 1)
    guard case .damaged(path, nil, let reason)? = damaged.first else {
      Issue.record("\(damaged)")
      return
    }
    #expect(reason.hasPrefix("has the impossible ") && reason.hasSuffix("step \(number)"))
  }

  @Test func anIncarnationAfterWhichThereIsNone() throws {
    let storage = SimulatedStorage()
    var random = SplitMix64(seed: 1)
    let data = DataRecord(count: 100, digest: Digest(high: 9, low: 10))
    func open() throws -> RunDirectory {
      try RunDirectory.open("run", configuration: "epochs: 3\n", data: data, in: storage, random: &random)
    }
    _ = try open().nextIncarnation()
    let text = String(decoding: try storage.readWhole("run/incarnation.json", limit: 1 << 20), as: UTF8.self)
    let changed = text.replacing("\"incarnation\" : 1", with: "\"incarnation\" : 18446744073709551615")
    try storage.write(sealed(Array(changed.utf8)), to: "run/incarnation.json")
    #expect(
      throws: CheckpointError.damagedRecord(
        file: "run/incarnation.json", reason: "has the impossible incarnation 18446744073709551615")
    ) { try open().nextIncarnation() }
  }
}
