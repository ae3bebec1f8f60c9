import Foundation
import TestSupport
import Testing

/// A run on machines that ssh reaches, started, watched, changed and stopped from one of them.
@Suite(.serialized, .ownThreads) struct LaunchTests {
  let workshop: Workshop
  let machines: Machines
  private let port: Int

  init() throws {
    workshop = try Workshop()
    machines = try Machines(in: workshop)
    port = try Machines.freePort()
  }

  private var file: String { workshop.folder + "/hosts.yaml" }

  private func write(_ hosts: String..., program: String = Program.path) throws {
    let first = "{ host: boss, role: coordinator, address: 127.0.0.1, port: \(port), program: '\(program)' }"
    let lines = ([first] + hosts.map { "{ address: 127.0.0.1, \($0) }" }).map { "  - \($0)\n" }
    try ("name: c\nhosts:\n" + lines.joined()).write(toFile: file, atomically: true, encoding: .utf8)
  }

  private static let here = "program: '\(Program.path)'"

  private func launch(_ verb: String, _ arguments: [String] = []) throws -> Program.Ended {
    try Program.run(["launch", verb, file] + arguments, through: machines.on("desk"), limit: 600)
  }

  private func start(_ extra: [String] = []) throws -> Program.Ended {
    try launch("start", ["--data", workshop.data, "--run", "runs/r"] + Workshop.recipe + extra)
  }

  private func status() throws -> [String: Any] {
    let ended = try launch("status", ["--json"])
    return try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any], "\(ended)")
  }

  private func states() throws -> [String] {
    let hosts = try #require(try status()["hosts"] as? [[String: Any]])
    return hosts.map { ($0["status"] as? [String: Any])?["state"] as? String ?? $0["error"] as? String ?? "?" }
  }

  private func workers() throws -> [String] {
    let run = try status()["run"] as? [String: Any]
    return ((run?["workers"] as? [[String: Any]])?.compactMap { $0["host"] as? String } ?? []).sorted()
  }

  private static let endless = [
    "--max-steps", "100000", "--epochs", "100000", "--checkpoint-every-steps", "100000",
  ]

  @Test func hostsThatFailAreNamedAndTheOthersTrainWhatOneMachineDoes() throws {
    #expect(try Program.run(workshop.arguments("calm")).status == 0)
    let older = workshop.folder + "/older-massl"
    try "#!/bin/sh\nprintf 'massl     0.0.9\\ncommit    abc\\n'\n".write(
      toFile: older, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: older)
    let open = workshop.folder + "/open/.massl/c/open"
    try FileManager.default.createDirectory(atPath: open, withIntermediateDirectories: true)
    #expect(try Program.run(["keygen", "--out", open + "/key"]).status == 0)
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: open + "/key")
    try write(
      "host: one, role: worker, threads: 1, \(Self.here)", "host: gone, role: worker", "host: shut, role: worker",
      "host: full, role: worker", "host: shard, role: memory, storage: 16MiB, \(Self.here)",
      "host: wrong, role: worker, program: /bin/true", "host: none, role: worker, program: /nowhere/massl",
      "host: old, role: worker, program: '\(older)'", "host: older, role: worker, program: '\(older)'",
      "host: open, role: worker, \(Self.here)")
    defer { _ = try? launch("stop") }
    let started = try start()
    #expect(started.status == 1)
    for words in [
      "Error: gone: its name does not resolve.", "Error: shut: nothing takes connections at its ssh port.",
      "Error: full: its disk is full. Make room on it.", "Error: none: there is no program /nowhere/massl.",
      "Error: wrong: it has massl ", "Error: old: it has massl 0.0.9, commit abc, and this is massl ",
      "Error: older: it has massl 0.0.9, commit abc, and this is massl ", "Error: open: \(open)/key",
      "others than its owner may read or write it",
    ] { #expect(started.errors.contains(words), "\(started)") }
    for words in ["boss             coordinator started, kept by", "one              worker      started, kept by"] {
      #expect(started.output.contains(words), "\(started)")
    }
    let isDone = try eventually(within: 600) {
      // The launcher stops who has not yet heard of the end.
      try states().filter { ["ended", "stopped"].contains($0) }.count == 3
    }
    let (found, said) = (try states(), try launch("logs").output)
    #expect(isDone, "\(found) \(said)")
    let run = try #require(try status()["run"] as? [String: Any])
    let digests = try #require(run["digests"] as? [String: String])
    #expect(try [digests["student"], digests["teacher"], digests["memory"]] == workshop.digests("calm"))
    #expect(try launch("logs", ["one"]).output.contains("Started worker one as process "))
    #expect(try launch("logs").output.contains("boss: "))
  }

  @Test func aRunIsChangedWhileItGoesOn() throws {
    // This one has no massl of its own.
    try write("host: one, role: worker, threads: 1")
    defer { _ = try? launch("stop") }
    let started = try start(Self.endless)
    #expect(started.status == 0 && started.errors.isEmpty, "\(started)")
    #expect(try workers() == ["one"])
    let again = try start(Self.endless)
    #expect(again.status == 0 && again.output.components(separatedBy: "runs already").count == 3, "\(again)")

    try write("host: one, role: worker, threads: 1", "host: two, role: worker, threads: 1, \(Self.here)")
    let added = try launch("add", ["two"])
    #expect(added.status == 0 && added.output.contains("two              worker      started"), "\(added)")
    #expect(try workers() == ["one", "two"])
    let removed = try launch("remove", ["one"])
    #expect(removed.status == 0, "\(removed)")
    let isAlone = try eventually(within: 600) { try workers() == ["two"] }
    #expect(isAlone)
    let allowed = try String(contentsOfFile: workshop.folder + "/boss/.massl/c/boss/allowed.txt", encoding: .utf8)
    #expect(allowed.contains(" two\n") && allowed.contains(" boss\n") && !allowed.contains(" one\n"), "\(allowed)")
    #expect(machines.crontab("one").isEmpty && machines.crontab("two").contains("@reboot "))

    try write("host: two, role: worker, threads: 1, \(Self.here)")
    let restarted = try launch("restart", ["boss"])
    #expect(restarted.status == 0, "\(restarted)")
    let unknown = try launch("restart", ["tow"])
    #expect(unknown.status == 64 && unknown.errors.contains("has no host 'tow'. Did you mean two?"), "\(unknown)")
    #expect(try launch("remove", ["boss"]).errors.contains("boss is the run's coordinator and stays."))
    let stopped = try launch("stop")
    #expect(stopped.status == 0 && stopped.output.contains("The newest checkpoint is of step "), "\(stopped)")
    #expect(try states() == ["stopped", "stopped"])
    #expect(workshop.processes("worker").isEmpty && workshop.processes("coordinator").isEmpty)
  }

  @Test func aCoordinatorThatCannotBeginIsSaidWithItsReason() throws {
    try write("host: one, role: worker, threads: 1, \(Self.here)")
    defer { _ = try? launch("stop") }
    let started = try launch(
      "start", ["--data", workshop.folder + "/nothing", "--run", "runs/r"] + Workshop.recipe)
    #expect(started.status == 1, "\(started)")
    #expect(
      started.errors.contains(
        "Error: boss: its process ended with exit code 64, and is not started again. It says: Error: \(workshop.folder)/nothing"
      ),
      "\(started)")
    let wrong = try launch("start", ["--data", "d", "--run", "r", "--batch-size", "many"])
    #expect(wrong.status == 64 && wrong.errors.contains("--batch-size must be a whole number"), "\(wrong)")
    let absent = try Program.run(["launch", "status", workshop.folder + "/no.yaml"])
    #expect(absent.status == 64 && absent.errors.contains("Cannot read the hosts file"), "\(absent)")
    try write("host: late, role: worker, \(Self.here)")
    let late = try launch("status")
    #expect(
      late.status == 1 && late.errors.contains("Error: late: nothing of this cluster was started there."), "\(late)")
  }
}
