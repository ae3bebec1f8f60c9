import Foundation
import TestSupport
import Testing

/// A process of a cluster on one machine: whatever dies comes back, whatever is done stays.
@Suite(.serialized, .ownThreads) struct ServiceTests {
  let workshop: Workshop
  let machines: Machines
  private static let name = ".massl/c/w"

  init() throws {
    workshop = try Workshop()
    machines = try Machines(in: workshop)
  }

  private func order(_ program: String, _ arguments: [String]) throws -> String {
    let service: [String: Any] = [
      "formatVersion": 1, "cluster": "c", "name": "w", "role": "worker", "program": program, "arguments": arguments,
    ]
    let order: [String: Any] = ["service": service, "allowedKeys": "# nobody\n"]
    let path = workshop.folder + "/order-\(UUID()).json"
    try JSONSerialization.data(withJSONObject: order).write(to: URL(fileURLWithPath: path))
    return path
  }

  private func service(_ verb: String, _ arguments: [String] = [], input: String = "/dev/null") throws -> Program.Ended
  {
    try Program.run(["service", verb, Self.name] + arguments, through: machines.on("m", input: input))
  }

  private func start(_ program: String, _ arguments: [String] = []) throws -> Program.Ended {
    _ = try service("key")
    return try service("start", ["--order"], input: order(program, arguments))
  }

  private func status() throws -> [String: Any] {
    let ended = try service("status", ["--json"])
    return try #require(try JSONSerialization.jsonObject(with: Data(ended.output.utf8)) as? [String: Any], "\(ended)")
  }

  /// The process's number, once the service is in a state.
  private func process(in state: String, other: Int? = nil) throws -> Int? {
    var seen: [String: Any] = [:]
    let isIn = try eventually(within: 600) {
      seen = try status()
      return seen["state"] as? String == state && (other == nil || seen["process"] as? Int != other)
    }
    try #require(isIn, "\(seen)")
    return seen["process"] as? Int
  }

  private static let waiting = ["worker", "--coordinator", "tcp://127.0.0.1:1", "--threads", "1"]

  @Test func onlyWhatNoStartMendsStays() throws {
    let script = workshop.folder + "/script"
    try """
    #!/bin/sh
    echo "$@" >>\(workshop.folder)/starts
    case $(wc -l <\(workshop.folder)/starts) in 1) exit 75 ;; 2) kill -9 $$ ;; *) echo "nothing mends this" >&2; exit 65 ;; esac
    """.write(toFile: script, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: script)
    #expect(try start(script, ["a b"]).status == 0)
    _ = try process(in: "ended")
    let ended = try status()
    #expect(ended["exit_code"] as? Int == 65 && ended["starts"] as? Int == 3, "\(ended)")
    #expect(
      try String(contentsOfFile: workshop.folder + "/starts", encoding: .utf8)
        == String(repeating: "a b --stop-with-parent\n", count: 3))
    let log = try service("logs").output
    for words in ["exit code 75; starting it again in 1 s", "signal 9; starting it again in 2 s", "nothing mends this"]
    {
      #expect(log.contains(words), "\(log)")
    }
    // What has ended for good does not come back with the machine.
    #expect(try service("start", ["--at-boot"]).output.isEmpty)
    #expect(try status()["state"] as? String == "ended")
  }

  @Test func itOutlivesItsProcessItsSupervisorAndTheMachine() throws {
    let started = try start(Program.path, Self.waiting)
    #expect(started.status == 0 && started.output.contains("which cron starts after a reboot"), "\(started)")
    defer { _ = try? service("stop") }
    let first = try #require(try process(in: "running"))
    kill(pid_t(first), SIGKILL)
    let second = try #require(try process(in: "running", other: first))

    // As after a power cut, but for the process, which sees that nobody looks after it any more.
    let supervisor = try #require(workshop.processes("run").first)
    kill(supervisor, SIGKILL)
    let hasLeft = eventually(within: 600) { kill(pid_t(second), 0) != 0 }
    #expect(hasLeft)
    #expect(try status()["state"] as? String == "down")
    let line = try #require(machines.crontab("m").split(separator: "\n").first { $0.hasPrefix("@reboot ") })
    #expect(try machines.shell("m", String(line.dropFirst("@reboot ".count))) == 0)
    let third = try #require(try process(in: "running"))
    #expect(third != second)

    #expect(try service("start").output.contains("runs already"))
    #expect(try start(Program.path, Self.waiting + ["--host", "x"]).output.contains("started, kept by"))
    let fourth = try #require(try process(in: "running", other: third))
    #expect(kill(pid_t(third), 0) != 0, "one that runs otherwise than ordered was stopped")

    #expect(try service("stop").status == 0)
    #expect(kill(pid_t(fourth), 0) != 0)
    #expect(try status()["state"] as? String == "stopped")
    #expect(try service("start", ["--at-boot"]).output.isEmpty)
    #expect(try status()["state"] as? String == "stopped")
    #expect(try service("forget").status == 0)
    #expect(machines.crontab("m").isEmpty)
  }

  @Test func aKeyThatOthersCanReadIsRefused() throws {
    let made = try service("key")
    #expect(made.status == 0 && made.output.contains("\"publicKey\":"), "\(made)")
    #expect(try service("key").output == made.output)
    let path = workshop.folder + "/m/\(Self.name)/key"
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    let refused = try service("key")
    #expect(refused.status == 64 && refused.errors.contains("others than its owner may read or write it"), "\(refused)")
  }

  @Test func whatIsNoServiceIsSaidToBeNone() throws {
    for verb in ["status", "stop", "start", "run", "forget"] {
      let none = try service(verb)
      #expect(none.status == 64 && none.errors.contains(": there is no such file or directory."), "\(verb): \(none)")
    }
    #expect(try service("start", ["--order"], input: "/dev/null").status == 64)
  }
}
