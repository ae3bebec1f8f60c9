import Foundation
import TestSupport
import Testing

/// Whatever terminals, schedulers and `timeout` send, and when: a process ends in order, with a word and the right code.
@Suite(.serialized, .ownThreads) struct SignalTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private static let long = [
    "--max-steps", "100000", "--epochs", "100000", "--checkpoint-every-steps", "100000",
    "--checkpoint-every-minutes", "0",
  ]
  private static let all = [SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGTERM]

  /// Starts it with signals waiting for it from the first moment on.
  private func ended(_ arguments: [String], waiting signals: [Int32]) throws -> (Int32, String) {
    let log = workshop.folder + "/log-\(UUID())"
    // Held back in this thread, they are in what it starts.
    var (held, before) = (sigset_t(), sigset_t())
    sigemptyset(&held)
    for number in signals { sigaddset(&held, number) }
    pthread_sigmask(SIG_BLOCK, &held, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let process = try Program.start(arguments, log: log)
    for number in signals { kill(process.processIdentifier, number) }
    try process.exit(within: 40)
    return (
      process.terminationReason == .exit ? process.terminationStatus : -1,
      try String(contentsOfFile: log, encoding: .utf8)
    )
  }

  @Test func aSignalThatCameFirstOfAllEndsAStartWithAWord() throws {
    for arguments in [
      workshop.arguments("a"), workshop.coordinator("b", "tcp://127.0.0.1:0"),
      ["worker", "--coordinator", "tcp://127.0.0.1:1"],
      [
        "memory", "--coordinator", "tcp://127.0.0.1:1", "--capacity", "1MiB", "--directory", workshop.folder + "/shard",
      ],
    ] {
      let (status, words) = try ended(arguments, waiting: [SIGTERM])
      // Before it began, or after a last checkpoint where it was quick.
      #expect(status == 0 && words.contains("Stopped a"), "\(arguments): \(status), \(words)")
    }
    // What has nothing to end in order ends as any program does.
    let plan = try ended(["plan"] + Workshop.recipe, waiting: [SIGTERM])
    #expect(plan.0 == -1)
  }

  @Test func noNumberOfSignalsCostsTheLastCheckpoint() throws {
    for (name, arguments) in [
      ("c", workshop.coordinator("c", "tcp://127.0.0.1:0") + Self.long), ("t", workshop.arguments("t") + Self.long),
    ] {
      let log = workshop.folder + "/\(name).log"
      let process = try Program.start(arguments, log: log)
      let address = try workshop.address(name)
      let worker = name == "c" ? try Program.start(["worker", "--coordinator", address]) : nil
      let metrics = workshop.run(name) + "/metrics.jsonl"
      let hasBegun = eventually(within: 40) { (try? Data(contentsOf: URL(fileURLWithPath: metrics)))?.isEmpty == false }
      try #require(hasBegun, "\(name) did no step")
      for number in Self.all { kill(process.processIdentifier, number) }
      try process.exit(within: 40)
      #expect(process.terminationReason == .exit && process.terminationStatus == 0, "\(name)")
      #expect(try String(contentsOfFile: log, encoding: .utf8).contains("Stopped after a last checkpoint."))
      let steps = try String(contentsOfFile: metrics, encoding: .utf8).split(separator: "\n").count
      #expect(workshop.steps(name) == [steps], "every step that was done is in it")
      worker?.terminate()
    }
  }

  /// The kernel's word on which signals a process takes and ignores.
  private func signals(_ kind: String, of process: Process) throws -> Set<Int32> {
    let text = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(kind):") })
    let bits = try #require(UInt64(line.split(separator: "\t").last ?? "", radix: 16))
    return Set([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2].filter { bits & 1 << UInt64($0 - 1) != 0 })
  }

  @Test func whatItWasStartedToIgnoreIsIgnored() throws {
    let run = try Program.start(
      workshop.coordinator("nohup", "tcp://127.0.0.1:0"), through: ["/bin/sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""])
    defer { run.terminate() }
    _ = try workshop.address("nohup")
    #expect(try signals("SigIgn", of: run) == [SIGHUP])
    #expect(try signals("SigCgt", of: run) == [SIGINT, SIGTERM, SIGUSR1, SIGUSR2])
  }
}
