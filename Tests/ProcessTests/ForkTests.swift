import Foundation
import TestSupport
import Testing

/// What can be gone on from, and what of it may change.
@Suite(.serialized, .ownThreads) struct ForkTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  @Test func aForkGoesOnFromItsStepAndLeavesTheOldRunAlone() throws {
    #expect(try Program.run(workshop.arguments("old")).status == 0)
    let old = try workshop.digests("old")
    // Nothing changed: it comes to the same, from the rows that it copied.
    let step = try #require(workshop.steps("old").first)
    let same = try Program.run([
      "fork", "--run", workshop.run("old"), "--step", "\(step)", "--to", workshop.run("same"),
    ])
    #expect(same.status == 0 && same.output.contains("goes on from step \(step)"), "\(same)")
    #expect(try Program.run(workshop.arguments("same")).status == 0)
    #expect(try workshop.digests("same") == old)
    // Another rate: it does not.
    let other = try Program.run([
      "fork", "--run", workshop.run("old"), "--step", "\(step)", "--to", workshop.run("other"), "lr=0.01",
    ])
    #expect(other.output.contains("lr: 0.0005 -> 0.01"), "\(other)")
    #expect(try Program.run(["train", "--data", workshop.data, "--run", workshop.run("other")]).status == 0)
    #expect(try workshop.digests("other") != old)
    #expect(try workshop.digests("old") == old)

    // Other batches: half as many steps are as many pictures, and it goes on there.
    let doubled = try Program.run([
      "fork", "--run", workshop.run("old"), "--step", "\(step)", "--to", workshop.run("doubled"), "batch_size=32",
    ])
    let half = (step + 1) / 2
    #expect(doubled.output.contains("step \(step) is step \(half) of 30"), "\(doubled)")
    #expect(workshop.steps("doubled") == [half])
    let on = try Program.run([
      "train", "--data", workshop.data, "--run", workshop.run("doubled"), "--max-steps", "\(half + 2)",
    ])
    #expect(on.status == 0 && workshop.steps("doubled").last == half + 2, "\(on)")

    // A warm-up in steps is of as many pictures, too.
    let warm = ["fork", "--run", workshop.run("old"), "--to", workshop.run("warm"), "warmup_steps=8"]
    #expect(try Program.run(warm).status == 0)
    let larger = try Program.run([
      "fork", "--run", workshop.run("warm"), "--to", workshop.run("larger"), "batch_size=32",
    ])
    #expect(larger.output.contains("warmup_steps: 8 -> 4"), "\(larger)")

    let shaped = try Program.run(["fork", "--run", workshop.run("old"), "--to", workshop.run("wide"), "embed_dim=96"])
    #expect(shaped.status == 64 && shaped.errors.contains("take back the change of embed_dim."))
    let taken = try Program.run(["fork", "--run", workshop.run("old"), "--to", workshop.run("same")])
    #expect(taken.status == 64 && taken.errors.contains("is there already."))
    #expect(!workshop.exists("wide") && !workshop.exists("same.forking"))
  }

  /// k-NN's figures alone, without the step that the weights are of.
  private func figures(_ ended: Program.Ended) -> String? { ended.output.components(separatedBy: "\"knn\":").last }

  @Test func aForkGoesOnWithTheBackboneOfAFile() throws {
    #expect(try Program.run(workshop.arguments("old") + ["--max-steps", "10"]).status == 0)
    #expect(try Program.run(workshop.arguments("other") + ["--seed", "5", "--max-steps", "5"]).status == 0)
    let folder = workshop.folder + "/for-timm"
    let export = ["export", "--run", workshop.run("other"), "--format", "timm", "--out", folder]
    #expect(try Program.run(export).status == 0)
    let file = folder + "/model.safetensors"
    let fork = ["fork", "--run", workshop.run("old"), "--to", workshop.run("mixed"), "--init"]
    let mixed = try Program.run(fork + [file])
    #expect(mixed.status == 0 && mixed.output.contains("goes on from step 10"), "\(mixed)")
    #expect(
      mixed.output.contains("backbone of \(file) (its names are timm's). The heads are the old run's."), "\(mixed)")

    // The features are the other run's, the memory is the old one's.
    let sides = ["--train", workshop.data, "--test", workshop.folder + "/test", "--json", "--k", "5"]
    let features = try Program.run(["evaluate", "knn", "--run", workshop.run("mixed")] + sides)
    let exported = try Program.run(["evaluate", "knn", "--weights", file] + sides)
    #expect(features.status == 0 && figures(features) == figures(exported), "\(features) \(exported)")
    let (old, new) = (try workshop.digests("old", step: 10), try workshop.digests("mixed", step: 10))
    #expect(old[0] != new[0] && old[1] != new[1] && old[2] == new[2])
    #expect(
      try Program.run(["inspect", workshop.run("mixed") + "/checkpoints/step-00000010"]).output.contains(
        "at step 10: weights \(old[0]) -> \(new[0])"))

    // It is a run like others, and the same file may be named to it again.
    let resumed = try Program.run(workshop.arguments("mixed") + ["--init", file, "--max-steps", "12"])
    #expect(resumed.status == 0 && resumed.errors.contains("step 12/12"), "\(resumed)")

    // What is of no use is said before there is a run.
    let pickled = workshop.folder + "/weights.pth"
    try Data([0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 60)).write(to: URL(fileURLWithPath: pickled))
    let refused = ["fork", "--run", workshop.run("old"), "--to", workshop.run("none"), "--init", pickled]
    let torch = try Program.run(refused)
    #expect(
      torch.status == 64 && torch.errors.contains("PyTorch file") && torch.errors.contains("save_file"), "\(torch)")
    #expect(try Program.run(workshop.arguments("deep") + ["--depth", "3", "--max-steps", "1"]).status == 0)
    let deep = try Program.run(["fork", "--run", workshop.run("deep"), "--to", workshop.run("none"), "--init", file])
    #expect(
      deep.status == 64 && deep.errors.contains("its depth is 2, not 3. A fork keeps its run's shape: begin a new run"),
      "\(deep)")
    #expect(!workshop.exists("none") && !workshop.exists("none.forking"))
  }

  @Test(arguments: [true, false]) func whatIsKeptWithItsMemoryCanBeGoneOnFrom(keepsMemory: Bool) throws {
    // Files of a step's rows: those that the newest checkpoint does not need go at once.
    let name = "kept-\(keepsMemory)"
    let flags = ["--keep-checkpoints", "1", "--keep-every-steps", "10", "--extent-rows", "16"]
    // Two starts: the checkpoint that the first one ends with is there, however slow the machine is.
    for steps in ["15", "30"] {
      let ended = try Program.run(
        workshop.arguments(name) + flags + ["--keep-memory", "\(keepsMemory)", "--max-steps", steps])
      #expect(ended.status == 0, "\(ended)")
    }
    let step = try #require(workshop.steps(name).first)
    #expect(step < 30)
    let fork = try Program.run(["fork", "--run", workshop.run(name), "--step", "\(step)", "--to", workshop.run("on")])
    #expect(fork.status == (keepsMemory ? 0 : 64), "\(fork)")
    let words = keepsMemory ? "kept for good: with its memory" : "kept for good: weights only"
    #expect(try Program.run(["inspect", workshop.run(name)]).output.contains(words))
  }

  @Test func whatIsKeptForGoodHoldsItsWeightsAndIsNotGoneOnFrom() throws {
    // So small a run has one file of rows, which stays with the newest checkpoint: it is taken away by hand.
    // Two starts: the checkpoint that the first one ends with is there, however slow the machine is.
    for steps in ["15", "30"] {
      let flags = ["--keep-checkpoints", "1", "--keep-every-steps", "10", "--max-steps", steps]
      #expect(try Program.run(workshop.arguments("kept") + flags).status == 0)
    }
    // On a slow disk a whole period may go by while one checkpoint is written.
    let kept = workshop.steps("kept").dropLast()
    let step = try #require(kept.last)
    #expect(Set(kept.map { $0 / 10 }).count == kept.count && kept.allSatisfy { 10..<30 ~= $0 }, "\(kept)")
    let text = try Program.run(["inspect", workshop.run("kept")]).output
    #expect(text.components(separatedBy: "kept for good: weights only").count == kept.count + 1, "\(text)")
    let exported = try Program.run([
      "export", "--run", workshop.run("kept"), "--step", "\(step)", "--out", workshop.folder + "/kept.safetensors",
    ])
    #expect(exported.status == 0, "\(exported)")

    let fork = ["fork", "--run", workshop.run("kept"), "--step", "\(step)", "--to"]
    #expect(try Program.run(fork + [workshop.run("early")]).status == 0, "its rows are still there")
    for name in try FileManager.default.contentsOfDirectory(atPath: workshop.run("kept") + "/memory") {
      try FileManager.default.removeItem(atPath: workshop.run("kept") + "/memory/" + name)
    }
    // The newest is damaged: what is left cannot be gone on from.
    try Data("{".utf8).write(
      to: URL(fileURLWithPath: workshop.run("kept") + "/checkpoints/step-00000030/manifest.json"))
    let replay = ["replay", "--run", workshop.run("kept"), "--data", workshop.data, "--step", "\(step)"]
    let coordinator = workshop.coordinator("kept", "tcp://127.0.0.1:0")
    for arguments in [fork + [workshop.run("late")], replay, coordinator] {
      let ended = try Program.run(arguments)
      #expect(ended.status == 64 && ended.errors.contains("was kept for its weights alone"), "\(ended)")
    }
    #expect(!workshop.exists("late"))
  }

  @Test func changesAddUpAndTheFirstCommandStillResumes() throws {
    #expect(try Program.run(workshop.arguments("steered")).status == 0)
    for (steps, change) in [("35", "epochs=50"), ("40", "warmup_epochs=45")] {
      let ended = try Program.run(workshop.arguments("steered") + ["--max-steps", steps, "--change", change])
      #expect(ended.status == 0, "\(ended)")
    }
    let ended = try Program.run(workshop.arguments("steered") + ["--max-steps", "45"])
    #expect(ended.status == 0 && ended.errors.contains("step 45/45"), "\(ended)")
    let inspected = try Program.run(["inspect", workshop.run("steered") + "/checkpoints/step-00000045"]).output
    #expect(
      inspected.contains("at step 30: epochs 40 -> 50") && inspected.contains("at step 35: warmup_epochs 0 -> 45"))
  }
}
