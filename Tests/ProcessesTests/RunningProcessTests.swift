import Foundation
import Processes
import TestSupport
import Testing

struct RunningProcessTests {
  @Test func aProcessIsItselfAndNoOther() throws {
    let own = try #require(RunningProcess.current)
    #expect(own.number == getpid() && own.isRunning && RunningProcess(getpid()) == own)
    #expect(RunningProcess(getppid()) != own)
    #expect(RunningProcess(0) == nil && RunningProcess(-1) == nil && RunningProcess(.max) == nil)
  }

  @Test func oneThatHasEndedIsToldNothing() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sleep")
    process.arguments = ["600"]
    try process.run()
    let running = try #require(RunningProcess(process.processIdentifier))
    // The threads of the tests hold other signals back, and what they start does, too.
    try running.send(SIGKILL)
    try process.exit()
    #expect(!running.isRunning)
    #expect(throws: ProcessError.ended(process.processIdentifier)) { try running.send(SIGTERM) }
  }

  @Test func whatAProgramIsCalledHidesNothing() throws {
    let rest = (4...21).map { "\($0)" }.joined(separator: " ")
    let read = try #require(RunningProcess.stateAndStart(of: "7 (a) S (b) c) R \(rest) 1234 23\n"))
    #expect(read.state == "R" && read.start == 1234)
    #expect(RunningProcess.stateAndStart(of: "7 (a) R 4 5") == nil && RunningProcess.stateAndStart(of: "") == nil)
  }

  @Test func aDetachedProcessHasASessionAndALogOfItsOwn() throws {
    try withTemporaryDirectory { folder in
      let log = folder + "/log"
      var process = try DetachedProcess(
        "/bin/sh", ["-c", "read line; echo \"got '$line' $A\"; echo wrong >&2; exit 7"], environment: ["A": "b c"],
        log: log)
      let number = process.number
      var end: ProcessEnd?
      let hasEnded = eventually(within: 600) {
        end = process.ended()
        return end != nil
      }
      let again = process.ended()
      #expect(hasEnded && end == .code(7) && again == end)
      #expect(try String(contentsOfFile: log, encoding: .utf8) == "got '' b c\nwrong\n")
      #expect(number != getpid())
      var killed = try DetachedProcess("/bin/sleep", ["600"], environment: [:], log: log)
      let (session, sleeper, none) = (getsid(killed.number), killed.number, killed.ended())
      #expect(none == nil && session == sleeper)
      kill(sleeper, SIGKILL)
      let isSeen = eventually(within: 600) {
        end = killed.ended()
        return end != nil
      }
      #expect(isSeen && end == .signal(SIGKILL))
      #expect {
        _ = try DetachedProcess(folder + "/none", [], environment: [:], log: log).number
      } throws: { "\($0)".hasPrefix("Cannot start \(folder)/none: No such file or directory.") }
    }
  }

  @Test func aDetachedProcessHoldsNothingThatSomebodyWaitsFor() throws {
    try withTemporaryDirectory { folder in
      // As a shell's, which programs that it starts get.
      var ends: [CInt] = [-1, -1]
      #expect(pipe(&ends) == 0)
      var process = try DetachedProcess("/bin/sleep", ["600"], environment: [:], log: folder + "/log")
      defer {
        kill(process.number, SIGKILL)
        // A child that nobody asks how it ended keeps the tests from hearing of those that they wait for.
        _ = eventually(within: 600) { process.ended() != nil }
      }
      close(ends[1])
      var byte: UInt8 = 0
      #expect(read(ends[0], &byte, 1) == 0, "its end is seen though the process runs")
      close(ends[0])
    }
  }
}
