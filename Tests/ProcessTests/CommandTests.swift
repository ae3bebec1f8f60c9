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
    #expect(bad.status == 0 && bad.errors.contains("skipped \(picture): it is no picture"), "\(bad)")
    #expect(bad.errors.contains("160 pictures vote, 161 are asked. That takes "))
    let object = try json(bad.output)
    #expect(object["queries_skipped"] as? Int == 1 && object["queries"] as? Int == 160)
    // Pickled bytes are no damage: what to do about them is said.
    let pickled = workshop.folder + "/weights.pth"
    try Data([0x50, 0x4B, 3, 4, 0, 0, 8, 8] + [UInt8](repeating: 0, count: 60)).write(to: URL(fileURLWithPath: pickled))
    let foreign = try Program.run(["evaluate", "knn", "--weights", pickled, "--train", test, "--test", test])
    #expect(foreign.status == 64 && foreign.errors.contains("weights.pth is a PyTorch file"), "\(foreign)")
  }
}
