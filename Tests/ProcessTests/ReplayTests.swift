import Foundation
import TestSupport
import Testing

/// A step computed again has the bits that it had, and says where a value went wrong.
@Suite(.serialized, .ownThreads) struct ReplayTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func replay(_ run: String, _ step: Int, _ more: String...) throws -> [String: Any] {
    let ended = try Program.run(
      ["replay", "--run", workshop.run(run), "--data", workshop.data, "--step", "\(step)", "--json"] + more)
    try #require(ended.status == 0, "\(ended)")
    return try json(ended.output)
  }

  /// Names, sizes and times of everything in a run's directory.
  private func listing(_ run: String) throws -> [String] {
    let files = FileManager.default
    return try files.subpathsOfDirectory(atPath: workshop.run(run)).sorted().map { name in
      let attributes = try files.attributesOfItem(atPath: workshop.run(run) + "/" + name)
      return "\(name) \(attributes[.size] ?? 0) \(attributes[.modificationDate] ?? 0)"
    }
  }

  /// Which checkpoints there are depends on how fast the disk is; a replay shall begin far back.
  /// - Returns: the step of the first.
  private func leaveFirstAndLastCheckpoint(_ run: String) throws -> Int {
    let steps = workshop.steps(run)
    for step in steps.dropFirst().dropLast() {
      let path = String(format: "%@/checkpoints/step-%08d", workshop.run(run), step)
      try FileManager.default.removeItem(atPath: path)
    }
    return try #require(steps.first)
  }

  @Test func aStepComputedAgainEndsWithTheNextCheckpointsDigests() throws {
    // Rows of the filled memory, and statistics of BatchNorm, come from the checkpoint and from the steps between.
    #expect(
      try Program.run(workshop.arguments("done") + ["--use-bn-in-head", "true", "--keep-checkpoints", "9"]).status == 0)
    let from = try leaveFirstAndLastCheckpoint("done")
    let before = try listing("done")
    let report = try replay("done", 29)
    #expect(report["step"] as? Int == 29 && report["checkpoint_step"] as? Int == from)
    let total = try #require(report["total"] as? [String: Any])
    #expect(try ["student", "teacher", "memory"].map { total[$0] as? String } == workshop.digests("done"))
    let slices = try #require(report["slices"] as? [[String: Any]])
    #expect(slices.compactMap { $0["slice"] as? Int } == [0, 1, 2, 3])
    #expect(slices.allSatisfy { $0["is_finite"] as? Bool == true && $0["first_not_finite"] == nil })

    // A slice alone is the same slice.
    let alone = try replay("done", 29, "--slice", "2")
    let slice = try #require((alone["slices"] as? [[String: Any]])?.first)
    #expect(slice["payload"] as? String == slices[2]["payload"] as? String && alone["total"] == nil)
    #expect(try listing("done") == before, "the run is only read")

    let text = try Program.run(
      ["replay", "--run", workshop.run("done"), "--data", workshop.data, "--step", "29", "--slice", "2"])
    #expect(text.output.contains("step 29, computed again from the checkpoint of step \(from)"), "\(text)")
    #expect(text.output.contains(try #require(slice["payload"] as? String)))
    #expect(text.output.contains("everything is finite"))
  }

  @Test func settingsThatChangedOnTheWayAreFollowed() throws {
    let arguments = workshop.arguments("changed") + ["--keep-checkpoints", "9"]
    #expect(try Program.run(arguments + ["--max-steps", "20"]).status == 0)
    // 320 rows were enqueued, 256 of them held: the larger memory begins with seeded ones below row 64.
    let resumed = try Program.run(arguments + ["--change", "memory_size=512", "--change", "lr=0.002"])
    #expect(resumed.status == 0, "\(resumed)")
    #expect(try leaveFirstAndLastCheckpoint("changed") < 20)
    let total = try #require(try replay("changed", 29)["total"] as? [String: Any])
    #expect(try ["student", "teacher", "memory"].map { total[$0] as? String } == workshop.digests("changed"))
  }

  @Test func whatIsNotInTheRunIsRefusedInASentence() throws {
    #expect(try Program.run(workshop.arguments("done")).status == 0)
    let first = try #require(workshop.steps("done").first)
    let place = ["replay", "--run", workshop.run("done"), "--data", workshop.data]
    for (arguments, sentence) in [
      (["--step", "30"], "has no step 30: its last is 29."),
      (["--step", "29", "--slice", "4"], "There is no slice 4: a step of this run has 4."),
      (
        ["--step", "\(first - 1)"],
        "has no checkpoint of step \(first - 1) or before it: it has those of steps \(first)"
      ),
    ] {
      let ended = try Program.run(place + arguments)
      #expect(ended.status == 64 && ended.errors.contains(sentence), "\(ended)")
    }
    let other = try Program.run(
      ["replay", "--run", workshop.run("done"), "--data", workshop.folder + "/test", "--step", "29"])
    #expect(other.status == 64 && other.errors.contains("was started on 160 pictures"), "\(other)")
  }

  @Test func theFirstValueThatIsNotFiniteIsNamed() throws {
    // Every update makes the weights some 60,000 larger: the head's last product overflows first.
    let ended = try Program.run(
      workshop.arguments("broken") + ["--lr", "1000000", "--warmup-epochs", "0", "--momentum-teacher", "0.5"])
    #expect(ended.status == 65, "\(ended)")
    let step = try #require(workshop.steps("broken").last)
    let report = try replay("broken", step, "--slice", "3")
    let slice = try #require((report["slices"] as? [[String: Any]])?.first)
    #expect(slice["is_finite"] as? Bool == false)
    let place = try #require(slice["first_not_finite"] as? [String: Any])
    #expect(place["part"] as? String == "the teacher" && place["view"] as? Int == 0)
    #expect(place["layer"] as? String == "head.mlp.4")
    #expect((place["picture"] as? String)?.hasSuffix(".jpg") == true)
    let whole = try replay("broken", step)
    let total = try #require(whole["total"] as? [String: Any])
    #expect(total["is_finite"] as? Bool == false && total["student"] == nil)
  }
}
