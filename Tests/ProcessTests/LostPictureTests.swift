import Foundation
import TestSupport
import Testing

/// Pictures that go, or cannot be had for a while, under a run: the coordinator is started first, then they go, then a
/// worker comes that has none of its own and asks for them.
@Suite(.serialized, .ownThreads) struct LostPictureTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// A coordinator on a copy of the pictures, and where it listens.
  private func coordinator(_ run: String, on data: String, log: String? = nil) throws -> Process {
    try Program.start(
      ["coordinator", "--data", data, "--run", workshop.run(run), "--listen", "tcp://127.0.0.1:0"] + Workshop.recipe,
      log: log)
  }

  private func worker(_ run: String) throws -> Process {
    try Program.start(["worker", "--coordinator", workshop.address(run), "--threads", "1"])
  }

  /// Waits for both to end.
  private func end(_ coordinator: Process, _ worker: Process) throws {
    #expect(try coordinator.exit() == 0)
    #expect(try worker.exit() == 0)
  }

  private func records(_ run: String) throws -> [[String: Any]] {
    let text = try String(contentsOfFile: workshop.run(run) + "/metrics.jsonl", encoding: .utf8)
    return try text.split(separator: "\n").map { line in
      try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }

  @Test func oneThatGoesUnderARunIsPassedOverByAllFromThenOn() throws {
    let name = String(workshop.onePicture.dropFirst(workshop.data.count + 1))
    // 1. It goes, and the coordinator is killed on the way.
    let data = try workshop.copyOfPictures("struck-pictures")
    var process = try coordinator("struck", on: data)
    _ = try workshop.address("struck")
    try FileManager.default.removeItem(atPath: "\(data)/\(name)")
    let first = try worker("struck")
    try workshop.awaitCheckpoint("struck", of: process)
    kill(process.processIdentifier, SIGKILL)
    try process.exit()
    kill(first.processIdentifier, SIGKILL)
    try first.exit()
    try? FileManager.default.removeItem(atPath: workshop.run("struck") + "/coordinator.address")
    process = try coordinator("struck", on: data)
    try end(process, worker("struck"))

    // 2. The same without a kill.
    let calmData = try workshop.copyOfPictures("calm-pictures")
    let calm = try coordinator("calm", on: calmData)
    _ = try workshop.address("calm")
    try FileManager.default.removeItem(atPath: "\(calmData)/\(name)")
    try end(calm, worker("calm"))
    #expect(try workshop.digests("struck") == workshop.digests("calm"))

    // 3. What is said of it.
    let record = try #require(
      JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: workshop.run("struck") + "/lost_pictures.json"))) as? [String: Any])
    let lost = try #require((record["pictures"] as? [[String: Any]])?.first)
    let step = try #require(lost["step"] as? Int)
    #expect(lost["path"] as? String == name && 0..<10 ~= step, "it is met in the first epoch")
    let counts = try records("struck").map { $0["lost_pictures"] as? Int }
    #expect(counts == (1...30).map { $0 > step ? 1 : 0 })
    let status = try Program.run(["status", "--run", workshop.run("struck"), "--json"])
    #expect(status.output.contains("\"lost_pictures\":1"), "\(status)")

    // 4. A later step, computed again.
    let replay = try Program.run(
      ["replay", "--run", workshop.run("struck"), "--data", data, "--step", "29", "--json"])
    let report = try #require(JSONSerialization.jsonObject(with: Data(replay.output.utf8)) as? [String: Any])
    let total = try #require(report["total"] as? [String: Any])
    #expect(try ["student", "teacher", "memory"].map { total[$0] as? String } == workshop.digests("struck"))

    // 5. A fork on the pictures that are left.
    let fork = try Program.run(
      ["fork", "--run", workshop.run("struck"), "--data", data, "--to", workshop.run("same")])
    #expect(fork.status == 0 && fork.output.contains("pictures: 160 -> 159"), "\(fork)")
  }

  @Test func aFolderThatIsAwayIsWaitedFor() throws {
    let data = try workshop.copyOfPictures("pictures")
    let log = workshop.folder + "/log"
    let process = try coordinator("waiting", on: data, log: log)
    _ = try workshop.address("waiting")
    try FileManager.default.moveItem(atPath: data, toPath: data + ".away")
    let worker = try worker("waiting")
    var said = ""
    let isSaid = try eventually(within: 20) {
      said = try String(contentsOfFile: log, encoding: .utf8)
      return said.contains("no picture of \(data) can be found")
    }
    #expect(
      isSaid && said.contains("Pictures cannot be read just now, and step 0 waits for them: no picture of"), "\(said)")
    try FileManager.default.moveItem(atPath: data + ".away", toPath: data)
    try end(process, worker)
    #expect(!workshop.exists("waiting/lost_pictures.json"))
    #expect(try Program.run(workshop.arguments("calm")).status == 0)
    #expect(try workshop.digests("waiting") == workshop.digests("calm"))
  }

  @Test func aRunGoesOnOnFewerPicturesAsAFork() throws {
    let data = try workshop.copyOfPictures("pictures")
    func train(_ run: String) throws -> Program.Ended {
      try Program.run(["train", "--data", data, "--run", workshop.run(run)] + Workshop.recipe + ["--max-steps", "12"])
    }
    #expect(try train("old").status == 0)
    try FileManager.default.removeItem(atPath: data + workshop.onePicture.dropFirst(workshop.data.count))
    let refused = try train("old")
    #expect(refused.status == 64 && refused.errors.contains("--data has 159. Give the same data set"), "\(refused)")
    #expect(refused.errors.contains("massl fork --run \(workshop.run("old")) --data DIR --to NEW"), "\(refused)")
    let fork = try Program.run(
      ["fork", "--run", workshop.run("old"), "--data", data, "--to", workshop.run("new"), "max_steps=14"])
    #expect(fork.status == 0, "\(fork)")
    for line in [
      "goes on from step 12", "max_steps: 12 -> 14", "pictures: 160 -> 159", "steps an epoch: 10 -> 9",
      "steps in all: 12 -> 14", "the order of the pictures is another from here on",
    ] { #expect(fork.output.contains(line), "\(fork.output)") }
    let resumed = try Program.run(
      ["train", "--data", data, "--run", workshop.run("new")] + Workshop.recipe + ["--max-steps", "14"])
    #expect(resumed.status == 0, "\(resumed)")
    #expect(workshop.steps("new").last == 14)
  }
}
