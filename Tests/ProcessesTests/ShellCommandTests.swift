import Foundation
import Processes
import TestSupport
import Testing

@Suite("A user's command, waited for with an end")
struct ShellCommandTests {
  private func run(_ command: String, input: String = "", within seconds: Double = 600) throws -> ShellCommand.Outcome {
    try ShellCommand(command).run(input: input, variables: ["MASSL_EVENT": "finished"], within: seconds)
  }

  @Test func itReadsItsInputAndKnowsItsVariables() throws {
    try withTemporaryDirectory { folder in
      let outcome = try run("cat > '\(folder)/in'; echo \"$MASSL_EVENT\" > '\(folder)/event'", input: "{\"a\":1}")
      #expect(outcome == .done)
      #expect(try String(contentsOfFile: folder + "/in", encoding: .utf8) == "{\"a\":1}")
      #expect(try String(contentsOfFile: folder + "/event", encoding: .utf8) == "finished\n")
    }
  }

  @Test func aFailureHasItsCodeAndItsLastWord() throws {
    #expect(try run("echo first >&2; echo 'no route' >&2; exit 3") == .failed(.code(3), said: "no route"))
    #expect(try run("kill -9 $$") == .failed(.signal(9), said: nil))
    #expect(try run("/no/such/program") == .failed(.code(127), said: try lastWord(of: "/no/such/program")))
  }

  private func lastWord(of command: String) throws -> String? {
    guard case .failed(_, let said) = try run(command) else { return nil }
    return said
  }

  @Test func whoReadsNothingAndSaysMuchHoldsNobodyUp() throws {
    #expect(try run("exit 0", input: String(repeating: "a", count: 100_000)) == .done)
    #expect(try run("yes | head -c 5000000 >&2; echo end >&2; exit 1") == .failed(.code(1), said: "end"))
  }

  @Test func whatTakesTooLongIsKilledWithAllThatItStarted() throws {
    try withTemporaryDirectory { folder in
      let outcome = try run("trap '' TERM; sleep 600 & echo $! > '\(folder)/child'; sleep 600", within: 3)
      #expect(outcome == .tookTooLong)
      let child = try #require(
        pid_t(String(contentsOfFile: folder + "/child", encoding: .utf8).trimmingCharacters(in: .newlines)))
      #expect(eventually(within: 60) { RunningProcess(child) == nil })
    }
  }
}
