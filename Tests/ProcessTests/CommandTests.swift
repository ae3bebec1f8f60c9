import Foundation
import TestSupport
import Testing

/// What users do with a run beside training it.
@Suite(.serialized, .ownThreads) struct CommandTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func statusOfARunIsItsNewestCheckpointsWhereNobodyCoordinatesIt() throws {
    #expect(try Program.run(workshop.arguments("done")).status == 0)
    let ended = try Program.run(["status", "--run", workshop.run("done"), "--json"])
    #expect(ended.status == 0 && ended.errors.isEmpty)
    let status = try json(ended.output)
    #expect(status["step"] as? Int == 30 && status["phase"] as? String == "not running")
    let digests = try #require(status["digests"] as? [String: String])
    #expect(try [digests["student"], digests["teacher"], digests["memory"]] == workshop.digests("done"))
    #expect(status["loss"] is Double && status["lr"] is Double)
    for key in ["warning", "images_per_second", "checkpoint_in_flight", "memory_shards"] {
      #expect(status[key] is NSNull, "\(key)")
    }
    // The sentence of the last step stands, whoever wrote it.
    let metrics = workshop.run("done") + "/metrics.jsonl"
    let text = try String(contentsOfFile: metrics, encoding: .utf8)
    try text.replacing("\"warning\":null", with: "\"warning\":\"It seems to collapse.\"")
      .write(toFile: metrics, atomically: true, encoding: .utf8)
    let words = try Program.run(["status", "--run", workshop.run("done")]).output
    #expect(words.contains("warning     It seems to collapse.") && !words.contains("lr -"), "\(words)")
  }

  @Test func statusAsksTheCoordinatorOfARunThatHasOne() throws {
    let coordinator = try Program.start(workshop.coordinator("live", "tcp://127.0.0.1:0"))
    defer { coordinator.terminate() }
    let address = try workshop.address("live")
    for place in [["--run", workshop.run("live")], ["--coordinator", address]] {
      let ended = try Program.run(["status", "--json"] + place)
      let status = try json(ended.output)
      #expect(status["step"] as? Int == 0 && status["phase"] as? String == "computing", "\(ended)")
      #expect((status["digests"] as? [String: String])?.count == 3)
      #expect(status["loss"] is NSNull && status["lr"] is NSNull && status["durable_step"] is NSNull)
    }
    let text = try Program.run(["status", "--run", workshop.run("live")]).output
    #expect(text.contains("step 0/30") && text.contains("0 of 256 rows filled"), "\(text)")
  }

  @Test func aProcessTakesAsManyConnectionsAsTheSystemAllows() throws {
    let coordinator = try Program.start(
      workshop.coordinator("popular", "tcp://127.0.0.1:0"),
      through: ["/bin/sh", "-c", "ulimit -Sn 100; exec \"$0\" \"$@\""])
    defer { coordinator.terminate() }
    _ = try workshop.address("popular")
    let limits = try String(contentsOfFile: "/proc/\(coordinator.processIdentifier)/limits", encoding: .utf8)
    let files = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
    let words = files.split(separator: " ")
    let (soft, hard) = (try #require(Int(words[3])), Int(words[4]) ?? .max)
    #expect(soft == min(hard, 65_536) && soft > 100, "\(files)")
  }

  @Test func statusOfWhatIsNoRunOrDoesNotAnswerSaysSo() throws {
    let noRun = try Program.run(["status", "--run", workshop.folder("empty")])
    #expect(noRun.status == 64 && noRun.errors.contains("empty holds no run."))
    let silent = try Program.run(["status", "--coordinator", "tcp://127.0.0.1:1"])
    #expect(silent.status == 75 && silent.errors.contains("No answer from a coordinator at tcp://127.0.0.1:1."))
  }

  @Test func anExportIsEvaluatedAsTheRunItIsOf() throws {
    #expect(try Program.run(workshop.arguments("trained")).status == 0)
    let file = workshop.folder + "/teacher.safetensors"
    let exported = try Program.run(["export", "--run", workshop.run("trained"), "--out", file])
    #expect(exported.status == 0 && exported.output.contains("at step 30"), "\(exported)")
    let folders = ["--train", workshop.data, "--test", workshop.folder + "/test", "--json", "--k", "3", "5"]
    let checkpoint = workshop.run("trained") + "/checkpoints/step-00000030"
    let places = [
      ["--run", workshop.run("trained")], ["--run", workshop.run("trained"), "--step", "30"], ["--weights", file],
      ["--weights", checkpoint], ["--weights", checkpoint + "/teacher.safetensors"],
    ]
    let outputs = try places.map { try Program.run(["evaluate", "knn"] + $0 + folders).output }
    #expect(Set(outputs).count == 1, "\(outputs)")
    let rows = try #require(try json(outputs[0])["knn"] as? [[String: Double]])
    #expect(rows.map { $0["k"] } == [3, 5])
    for name in ["trained", "untrained", "pixels"] { #expect((0...1).contains(rows[0][name] ?? -1)) }
    let student = try Program.run(
      ["evaluate", "knn", "--weights", checkpoint + "/student.safetensors"] + folders)
    #expect(student.status == 0 && student.output != outputs[0])
  }

  @Test func inspectListsRunCheckpointAndTensors() throws {
    #expect(try Program.run(workshop.arguments("seen")).status == 0)
    let run = try json(Program.run(["inspect", "--json", workshop.run("seen")]).output)
    let checkpoints = try #require(run["checkpoints"] as? [[String: Any]])
    #expect(checkpoints.compactMap { ($0["manifest"] as? [String: Any])?["step"] as? Int } == workshop.steps("seen"))
    let checkpoint = workshop.run("seen") + "/checkpoints/step-00000030"
    #expect(try Program.run(["inspect", checkpoint]).output.contains("adamw, 30 updates"))
    let file = try json(Program.run(["inspect", "--json", checkpoint + "/student.safetensors"]).output)
    let tensors = try #require(file["tensors"] as? [[String: Any]])
    #expect(tensors.first?["name"] as? String == "backbone.cls_token")
    #expect(tensors.first?["shape"] as? [Int] == [1, 1, 48])
    let nothing = try Program.run(["inspect", workshop.folder + "/nothing"])
    #expect(nothing.status == 64 && nothing.errors.contains("nothing: there is no such file or directory."))
  }

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

    let shaped = try Program.run(["fork", "--run", workshop.run("old"), "--to", workshop.run("wide"), "embed_dim=96"])
    #expect(shaped.status == 64 && shaped.errors.contains("take back the change of embed_dim."))
    let taken = try Program.run(["fork", "--run", workshop.run("old"), "--to", workshop.run("same")])
    #expect(taken.status == 64 && taken.errors.contains("is there already."))
    #expect(!workshop.exists("wide") && !workshop.exists("same.forking"))
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

  @Test func aWorkerWithKeysTakesPartAndOneWithoutDoesNot() throws {
    let keys = try ["coordinator", "worker"].map { name in
      let ended = try Program.run(["keygen", "--out", workshop.folder + "/\(name).key"])
      #expect(ended.status == 0)
      return ended.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }
    let again = try Program.run(["keygen", "--out", workshop.folder + "/worker.key"])
    #expect(again.status == 64 && again.errors.contains("worker.key"), "a key is not overwritten")
    let allowed = workshop.folder + "/workers.txt"
    // The coordinator's own, for a beginning.
    try Data("# those who may\n\(keys[0])\n".utf8).write(to: URL(fileURLWithPath: allowed))
    let coordinator = try Program.start(
      workshop.coordinator("secret", "tcp://0.0.0.0:0") + [
        "--key", workshop.folder + "/coordinator.key", "--allowed-keys", allowed,
      ])
    defer { coordinator.terminate() }
    let port = try #require(workshop.address("secret").split(separator: ":").last)
    let address = "tcp://127.0.0.1:\(port)"
    let plain = try Program.run(["worker", "--coordinator", address], limit: 8, signal: SIGTERM)
    #expect(plain.errors.contains("No answer from a coordinator at \(address) for "), "\(plain)")
    // Let in while the coordinator runs.
    try Data("# those who may\n\(keys[1]) first\n".utf8).write(to: URL(fileURLWithPath: allowed))
    let worker = try Program.run([
      "worker", "--coordinator", address, "--key", workshop.folder + "/worker.key", "--coordinator-key", keys[0],
    ])
    #expect(worker.status == 0, "\(worker)")
    #expect(try coordinator.exit() == 0)
    #expect(try workshop.digests("secret").count == 3)
  }

  @Test func aWorkerStartedWithAnAddressAloneTakesPart() throws {
    #expect(try Program.run(workshop.arguments("by-train")).status == 0)
    let coordinator = try Program.start(workshop.coordinator("by-hand", "tcp://127.0.0.1:0"))
    // It has no pictures: the coordinator sends them.
    let worker = try Program.run(["worker", "--coordinator", workshop.address("by-hand")])
    #expect(worker.status == 0, "\(worker)")
    #expect(try coordinator.exit() == 0)
    #expect(try workshop.digests("by-hand") == workshop.digests("by-train"))
  }

  @Test func aCoordinatorThatCannotFinishItsCheckpointLeavesWithinItsGrace() throws {
    let long = ["--max-steps", "100000", "--epochs", "100000", "--checkpoint-every-steps", "0", "--grace", "1"]
    let coordinator = try Program.start(workshop.coordinator("hasty", "tcp://127.0.0.1:0") + long)
    let worker = try Program.start(["worker", "--coordinator", workshop.address("hasty"), "--stop-with-parent"])
    let metrics = workshop.run("hasty") + "/metrics.jsonl"
    let hasBegun = eventually(within: 40) { FileManager.default.contents(atPath: metrics)?.isEmpty == false }
    try #require(hasBegun, "no step was done")
    // A file in the place of the directory: no checkpoint can be written, however often it is tried.
    let checkpoints = workshop.run("hasty") + "/checkpoints"
    try FileManager.default.moveItem(atPath: checkpoints, toPath: checkpoints + "-aside")
    try Data().write(to: URL(fileURLWithPath: checkpoints))
    coordinator.terminate()
    try coordinator.exit()
    let text = try String(contentsOfFile: workshop.run("hasty") + "/coordinator.log", encoding: .utf8)
    #expect(coordinator.terminationStatus == 75, "\(text)")
    worker.terminate()
    try worker.exit()
  }

  @Test func aWorkerFindsACoordinatorThatMoved() throws {
    let long = ["--max-steps", "100000", "--epochs", "100000"]
    let first = try Program.start(workshop.coordinator("moving", "tcp://127.0.0.1:0") + long)
    _ = try workshop.address("moving")
    let worker = try Program.start(["worker", "--coordinator", workshop.run("moving") + "/coordinator.address"])
    try workshop.awaitCheckpoint("moving", of: first)
    kill(first.processIdentifier, SIGKILL)
    try first.exit()
    let step = try #require(workshop.steps("moving").last)
    let second = try Program.start(
      workshop.coordinator("moving", "tcp://127.0.0.1:0") + [
        "--max-steps", "\(step + 20)", "--change", "epochs=100000",
      ])
    try second.exit()
    try worker.exit()
    #expect(second.terminationStatus == 0 && worker.terminationStatus == 0)
    #expect(workshop.steps("moving").last == step + 20)
    #expect(!workshop.exists("moving/coordinator.address"), "a coordinator that ended leaves no address")
  }

  @Test func trainEndsItsProcessesWhenToldToOrKilled() throws {
    for signal in [SIGTERM, SIGKILL] {
      let run = "ended-\(signal)"
      let train = try Program.start(workshop.arguments(run) + ["--max-steps", "100000", "--epochs", "100000"])
      try workshop.awaitCheckpoint(run, of: train)
      kill(train.processIdentifier, signal)
      try train.exit()
      if signal == SIGTERM { #expect(train.terminationStatus == 0 && train.terminationReason == .exit) }
      #expect(eventually(within: 20) { (workshop.processes("coordinator") + workshop.processes("worker")).isEmpty })
    }
  }

  @Test(arguments: [0, 3, 10, 20, 40, 80, 160])
  func aSignalIsHeededHoweverEarlyItComes(milliseconds: Int) throws {
    // Nobody listens there: the worker would wait for ever.
    let worker = try Program.start(["worker", "--coordinator", "tcp://127.0.0.1:1"])
    usleep(UInt32(milliseconds * 1000))
    worker.terminate()
    let status = try worker.exit(within: 15)
    // Before the first line of 'main' the signal ends it by itself; from then on it leaves in order.
    let hasBegun = worker.terminationReason == .exit
    #expect(status == (hasBegun ? 0 : SIGTERM), "\(status)")
  }

  @Test func trainReplacesAWorkerThatSomebodyStopped() throws {
    #expect(try Program.run(workshop.arguments("serene")).status == 0)
    let train = try workshop.train("robbed", workers: 1)
    try workshop.awaitCheckpoint("robbed", of: train)
    for process in workshop.processes("worker") { kill(process, SIGTERM) }
    #expect(try train.exit() == 0)
    #expect(try workshop.digests("robbed") == workshop.digests("serene"))
  }

  @Test func aSecondTrainLeavesALivingRunAlone() throws {
    let first = try Program.start(workshop.coordinator("lively", "tcp://127.0.0.1:0"))
    defer { first.terminate() }
    let address = try workshop.address("lively")
    let second = try Program.run(workshop.arguments("lively"), limit: 40)
    #expect(second.status == 75 && second.errors.contains("is locked by process"), "\(second)")
    #expect(try workshop.address("lively") == address && first.isRunning)
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

  @Test func evaluateTakesAnyNumberOfNeighborsAndSkipsABadPicture() throws {
    #expect(try Program.run(workshop.arguments("judged")).status == 0)
    let arguments = ["evaluate", "knn", "--run", workshop.run("judged"), "--train", workshop.data, "--test"]
    let all = try Program.run(arguments + [workshop.folder + "/test", "--k", "160", "9223372036854775807", "--json"])
    let rows = try #require(try json(all.output)["knn"] as? [[String: Any]])
    #expect(rows[0]["trained"] as? Double == rows[1]["trained"] as? Double, "\(all)")
    let test = try workshop.copyOfPictures("with-text")
    let picture = test + "/" + (try FileManager.default.contentsOfDirectory(atPath: test).sorted()[0]) + "/text.jpg"
    try Data("words".utf8).write(to: URL(fileURLWithPath: picture))
    let bad = try Program.run(arguments + [test, "--json"])
    #expect(bad.status == 0 && bad.errors.contains("skipped \(picture): it is no JPEG picture"), "\(bad)")
    #expect(bad.errors.contains("160 pictures vote, 161 are asked. That takes "))
    let object = try json(bad.output)
    #expect(object["queries_skipped"] as? Int == 1 && object["queries"] as? Int == 160)
    // Pickled bytes are no damage: what to do about them is said.
    let pickled = workshop.folder + "/weights.pth"
    try Data([0x50, 0x4B, 3, 4, 0, 0, 8, 8] + [UInt8](repeating: 0, count: 60)).write(to: URL(fileURLWithPath: pickled))
    let foreign = try Program.run(["evaluate", "knn", "--weights", pickled, "--train", test, "--test", test])
    #expect(foreign.status == 64 && foreign.errors.contains("weights.pth is a PyTorch file"), "\(foreign)")
  }

  @Test func trainStartsAKilledCoordinatorAgain() throws {
    #expect(try Program.run(workshop.arguments("calm")).status == 0)
    let train = try workshop.train("killed", workers: 2)
    try workshop.awaitCheckpoint("killed", of: train)
    for process in workshop.processes("coordinator") { kill(process, SIGKILL) }
    #expect(try train.exit() == 0)
    #expect(try workshop.digests("killed") == workshop.digests("calm"))
  }
}
