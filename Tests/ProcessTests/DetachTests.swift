import Durability
import Foundation
import Processes
import TestSupport
import Testing

/// For people with one machine and a terminal that closes.
@Suite(.serialized, .ownThreads) struct DetachTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private static let long = [
    "--max-steps", "100000", "--epochs", "100000", "--checkpoint-every-steps", "100000",
    "--checkpoint-every-minutes", "0",
  ]

  private func detach(_ run: String, _ extra: [String] = []) throws -> Program.Ended {
    try Program.run(workshop.arguments(run) + extra + ["--detach"])
  }

  private func stop(_ run: String) throws -> Program.Ended {
    try Program.run(["stop", "--run", workshop.run(run)])
  }

  /// The process that a run's lock names.
  private func process(_ run: String) throws -> RunningProcess {
    let state = try #require(try FileStorage().lockState(of: workshop.run(run) + "/train.lock"))
    #expect(state.isHeld)
    return try #require(RunningProcess(pid_t(state.holder?.process ?? 0)))
  }

  @Test func aDetachedRunIsSeenLeftAloneAndStopped() throws {
    let begun = try detach("r", Self.long)
    #expect(begun.status == 0 && begun.output.contains("The run has begun: process "), "\(begun)")
    let process = try process("r")
    defer { kill(process.number, SIGKILL) }
    // No signal of a terminal's reaches another session.
    #expect(begun.output.contains("process \(process.number), step ") && getsid(process.number) == process.number)
    #expect(process.logFile == URL(fileURLWithPath: workshop.run("r") + "/train.log").resolvingSymlinksInPath().path)

    let seen = workshop.folder + "/attach.log"
    let attached = try Program.start(["attach", "--run", workshop.run("r")], log: seen)
    let isShown = eventually(within: 60) { workshop.log("attach").contains("coordinator: Listens on tcp://127.0.0.1:") }
    #expect(isShown, "\(workshop.log("attach"))")
    attached.interrupt()
    #expect(try attached.exit() == 0 && attached.terminationReason == .exit)
    #expect(workshop.log("attach").contains("goes on as process \(process.number). massl stop --run "))
    #expect(process.isRunning)

    let again = try detach("r", Self.long)
    #expect(again.status == 75 && again.errors.contains("is running already, as process \(process.number)."))

    let following = try Program.start(["attach", "--run", workshop.run("r")], log: seen)
    let stopped = try stop("r")
    #expect(stopped.status == 0 && !process.isRunning, "\(stopped)")
    let step = try #require(workshop.steps("r").last)
    #expect(step == workshop.stepsDone("r"), "every step that was done is in the checkpoint")
    #expect(stopped.output.contains("was stopped: it rests at step \(step) of 100000. The same"), "\(stopped)")
    #expect(try following.exit() == 0)
    #expect(workshop.log("attach").contains("has ended: it rests at step \(step) of "), "\(workshop.log("attach"))")
  }

  @Test func aRunThatDoesNotBeginSaysWhyAndLeavesNothing() throws {
    let arguments = ["train", "--data", workshop.folder + "/nothing", "--run", workshop.run("no")] + Workshop.recipe
    let (plain, detached) = (try Program.run(arguments), try Program.run(arguments + ["--detach"]))
    #expect(plain.status == 64 && detached.status == 64 && detached.output.isEmpty, "\(plain), \(detached)")
    let sentence = try #require(plain.errors.split(separator: "\n").last { $0.hasPrefix("Error: ") })
    #expect(detached.errors.contains(sentence), "\(detached)")
    #expect(!workshop.exists("no"))
  }

  @Test func whatHasEndedIsSaidToHaveEnded() throws {
    #expect(try Program.run(workshop.arguments("done")).status == 0)
    let before = try workshop.digests("done")
    // Its process has ended long since, and its number may be anybody's: here it is this one's.
    try "\(getpid()) \(LockHolder.current.host)\n".write(
      toFile: workshop.run("done") + "/train.lock", atomically: true, encoding: .utf8)
    let stopped = try stop("done")
    #expect(stopped.status == 0 && stopped.output.contains("does not run: it is done, at step 30."), "\(stopped)")
    let attached = try Program.run(["attach", "--run", workshop.run("done")])
    #expect(attached.status == 1 && attached.errors.contains("does not run: it is done, at step 30."), "\(attached)")
    let begun = try detach("done")
    #expect(begun.status == 0 && begun.output.contains("The run has ended. Log: "), "\(begun)")
    #expect(try workshop.digests("done") == before)
    for command in ["stop", "attach"] {
      let none = try Program.run([command, "--run", workshop.folder + "/nothing"])
      #expect(none.status == 64 && none.errors.contains("nothing holds no run."), "\(none)")
    }
  }

  @Test func aRunOfAnotherHostIsNotTouchedAndTheHostIsNamed() throws {
    #expect(try Program.run(workshop.arguments("far")).status == 0)
    let path = workshop.run("far") + "/train.lock"
    let lock = try FileStorage().lock(path)
    defer { lock.release() }
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.truncate(atOffset: 0)
    try file.write(contentsOf: Data("\(getpid()) node\u{1b}b\n".utf8))
    for command in ["stop", "attach"] {
      let refused = try Program.run([command, "--run", workshop.run("far")])
      #expect(refused.status == 64, "\(refused)")
      #expect(
        refused.errors.contains("far runs on node\\u{1b}b (process \(getpid())), not on this machine. There: massl"),
        "\(refused)")
    }
    lock.release()
    #expect(try stop("far").output.contains("It was last on node\\u{1b}b (process \(getpid())): ask there."))
  }

  @Test(.enabled(if: geteuid() == 0, "another user's process takes root to have"))
  func anotherUsersRunIsNotStopped() throws {
    #expect(try detach("own", Self.long).status == 0)
    let process = try process("own")
    defer { kill(process.number, SIGKILL) }
    let refused = try Program.run(
      ["stop", "--run", workshop.run("own")],
      through: ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    #expect(refused.status == 64, "\(refused)")
    #expect(refused.errors.contains("Process \(process.number) is root's, not yours. Ask its owner"), "\(refused)")
    #expect(process.isRunning)
    #expect(try stop("own").status == 0)
  }

  @Test func aCoordinatorThatWasStartedByItselfIsStoppedToo() throws {
    let coordinator = try Program.start(workshop.coordinator("c", "tcp://127.0.0.1:0") + Self.long)
    _ = try workshop.address("c")
    let stopped = try stop("c")
    #expect(stopped.status == 0 && stopped.output.contains("was stopped: it rests at step 0 of "), "\(stopped)")
    #expect(try coordinator.exit() == 0)
  }
}
