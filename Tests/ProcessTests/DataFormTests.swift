import Foundation
import TestSupport
import Testing

/// A run's pictures as folder, list and tars: the same run, whoever has them in whichever form.
@Suite(.serialized, .ownThreads) struct DataFormTests {
  let workshop: Workshop
  /// Paths of the workshop's pictures in other forms: a list, a tar, and a pattern of shards.
  let list: String
  let tar: String
  let shards: String

  init() throws {
    workshop = try Workshop()
    let folder = workshop.folder
    (list, tar, shards) = ("\(folder)/train.list", "\(folder)/train.tar", "\(folder)/shards/{0..1}.tar")
    _ = try workshop.folder("shards")
    let paths = (FileManager.default.enumerator(atPath: workshop.data)?.compactMap { $0 as? String } ?? [])
      .filter { $0.hasSuffix(".jpg") }.shuffled()
    try Data("root: train\n\(paths.joined(separator: "\n"))\n".utf8).write(to: URL(fileURLWithPath: list))
    try Self.pack(paths, of: workshop.data, into: tar)
    try Self.pack(Array(paths.prefix(70)), of: workshop.data, into: "\(folder)/shards/0.tar")
    try Self.pack(Array(paths.dropFirst(70)), of: workshop.data, into: "\(folder)/shards/1.tar")
  }

  private static func pack(_ paths: [String], of folder: String, into tar: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/tar")
    process.arguments = ["-C", folder, "-cf", tar] + paths
    try process.run()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
  }

  private func arguments(_ run: String, _ data: String) -> [String] {
    ["train", "--data", data, "--run", workshop.run(run), "--workers", "1"] + Workshop.recipe
  }

  @Test func everyFormIsTheSameRun() throws {
    #expect(try Program.run(workshop.arguments("folder")).status == 0)
    let expected = try workshop.digests("folder")
    for (name, data) in [("list", list), ("tar-of-all", tar), ("pattern", shards)] {
      let run = try Program.run(arguments(name, data))
      #expect(run.status == 0, "\(run)")
      #expect(try workshop.digests(name) == expected, "\(name)")
    }
    // A run goes on with another form of its pictures, and with no others.
    let stopped = try Program.run(workshop.arguments("moved") + ["--max-steps", "14"])
    #expect(stopped.status == 0)
    #expect(try Program.run(arguments("moved", shards)).status == 0)
    #expect(try workshop.digests("moved") == expected)
    let refused = try Program.run(arguments("moved", "\(workshop.folder)/shards/0.tar"))
    #expect(refused.status == 64 && refused.errors.contains("--data has 70"), "\(refused)")

    for data in [list, tar] {
      let replayed = try Program.run(["replay", "--run", workshop.run("folder"), "--data", data, "--step", "29"])
      #expect(replayed.status == 0 && replayed.output.contains(expected[2]), "\(replayed)")
    }
    let fork = try Program.run([
      "fork", "--run", workshop.run("folder"), "--data", "\(workshop.folder)/shards/1.tar", "--to",
      workshop.run("fork"),
    ])
    #expect(fork.status == 0 && (fork.output + fork.errors).contains("90"), "\(fork)")
  }

  @Test func evaluationsAndPicturesOfThemAreTheSame() throws {
    #expect(try Program.run(workshop.arguments("run") + ["--max-steps", "5"]).status == 0)
    func knn(_ train: String) throws -> String {
      let answer = try Program.run([
        "evaluate", "knn", "--run", workshop.run("run"), "--train", train, "--test", workshop.folder + "/test",
      ])
      #expect(answer.status == 0, "\(answer)")
      return answer.output.split(separator: "\n").filter { $0.contains("0.") }.joined(separator: "\n")
    }
    let expected = try knn(workshop.data)
    for data in [list, tar, shards] { #expect(try knn(data) == expected) }
    for command in [
      ["attention", "--run", workshop.run("run"), tar],
      ["neighbours", "--run", workshop.run("run"), "--data", shards, tar],
      ["views", "--run", workshop.run("run"), "--data", tar, "--step", "3"],
    ] {
      let drawn = try Program.run(["visualize"] + command + ["--out", workshop.folder + "/out.png"])
      #expect(drawn.status == 0, "\(drawn)")
    }
  }

  /// Whatever form a worker has, its files are found to be the coordinator's.
  @Test func workersHaveTheirPicturesInAnotherForm() throws {
    #expect(try Program.run(workshop.arguments("alone")).status == 0)
    for (name, data) in [("own", tar as String?), ("none", nil)] {
      let log = workshop.folder + "/\(name).log"
      let coordinator = try Program.start(workshop.coordinator(name, "tcp://127.0.0.1:0"))
      let worker = try Program.start(
        ["worker", "--coordinator", workshop.address(name), "--threads", "1"] + (data.map { ["--data", $0] } ?? []),
        log: log)
      #expect(try coordinator.exit() == 0)
      #expect(try worker.exit() == 0)
      #expect(try workshop.digests(name) == workshop.digests("alone"))
      let said = try String(contentsOfFile: log, encoding: .utf8)
      #expect(!said.contains("come from the coordinator") && !said.contains("lists other paths"), "\(said)")
    }
  }

  @Test func inspectSaysWhatADataSetIs() throws {
    let folder = try Program.run(["inspect", "--json", workshop.data])
    let said = try #require(
      try JSONSerialization.jsonObject(with: Data(folder.output.utf8)) as? [String: Any], "\(folder)")
    #expect(said["pictures"] as? Int == 160 && said["form"] as? String == "folder")
    for (form, data) in [("list", list), ("tars", tar), ("tars", shards)] {
      let answer = try Program.run(["inspect", "--json", data])
      let other = try #require(try JSONSerialization.jsonObject(with: Data(answer.output.utf8)) as? [String: Any])
      #expect(other["form"] as? String == form && other["digest"] as? String == said["digest"] as? String)
      #expect(other["classes"] as? Int == said["classes"] as? Int)
      #expect(try Program.run(["inspect", data]).output.contains("160"))
    }
  }
}
