import Foundation
import Processes
import TestSupport
import Testing

@Suite("A program that runs beside this one")
struct ChildProcessTests {
  private func shell(_ command: String, isTold: Bool = false) throws -> ChildProcess {
    try ChildProcess("/bin/sh", ["-c", command], environment: ["WORD": "known"], isTold: isTold)
  }

  @Test func itHearsWhatItIsToldAndThatThisWasAll() throws {
    try withTemporaryDirectory { folder in
      let process = try shell("cat > '\(folder)/in'; echo $WORD >> '\(folder)/in'; exit 7", isTold: true)
      #expect(process.end == nil)
      process.tell("it is over\n")
      process.tell("twice\n")
      #expect(process.wait() == .code(7))
      #expect(try String(contentsOfFile: "\(folder)/in", encoding: .utf8) == "it is over\nknown\n")
      #expect(process.end == .code(7))
      process.terminate()
    }
  }

  @Test func itEndsWhenItIsAskedTo() throws {
    let process = try shell("exec sleep 600")
    process.terminate()
    #expect(process.wait() == .signal(SIGTERM))
  }

  @Test func whoWaitsAndWhoLooksHearTheSame() throws {
    let process = try shell("sleep 0.2; exit 3")
    #expect(eventually(within: 60) { process.end != nil })
    #expect(process.wait() == .code(3) && process.end == .code(3))
  }

  @Test func noTerminalReachesIt() throws {
    let process = try shell("exec sleep 600")
    #expect(getpgid(process.number) == process.number && getsid(process.number) == getsid(0))
    process.terminate()
    _ = process.wait()
  }

  @Test func aProgramThatIsNotThereIsAnError() {
    #expect {
      try ChildProcess("/no/such/program", [], environment: [:], isTold: true)
    } throws: {
      "\($0)".hasPrefix("Cannot start /no/such/program: No such file or directory.")
    }
  }
}
