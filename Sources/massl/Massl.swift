import ArgumentParser
import Glibc
import Telemetry

/// The command line: flags in, exit code out. What it starts is in `Services` and `Evaluation`.
package struct Massl: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "massl",
    abstract: "Pre-trains Vision Transformers on unlabelled pictures, on any number of machines.",
    discussion: """
      Results go to standard output, log and progress to standard error.
      Exit codes: 0 done, 1 failed, 64 wrong usage, 65 do not restart (it would fail again), 75 try again.
      """,
    subcommands: [
      TrainCommand.self, CoordinatorCommand.self, WorkerCommand.self, StatusCommand.self, EvaluateCommand.self,
      ExportCommand.self, InspectCommand.self, ForkCommand.self, ReplayCommand.self, KeygenCommand.self,
      SynthesizeCommand.self, VerifyCommand.self, BenchCommand.self, PlanCommand.self,
      MemoryCommand.self,
    ])

  @Flag(help: "Show version, commit, libraries and the compute classes of this processor.")
  package var version = false

  package init() {}

  package func run() throws {
    guard version else { throw CleanExit.helpRequest(self) }
    print(Version.text)
  }
}

@main
enum Program {
  static func main() {
    // A peer or a pager that goes away is an error of that write, not the end of the program.
    signal(SIGPIPE, SIG_IGN)
    DescriptorLimit.raise()
    var command: any ParsableCommand
    do { command = try Massl.parseAsRoot() } catch { Massl.exit(withError: error) }
    do {
      // Before any vector instruction, which would end the program without a word.
      try Processor.check(Processor.leastClass)
      try command.run()
      leave(.done)
    } catch let code as ExitCode {
      leave(ExitStatus(rawValue: code.rawValue) ?? .failed)
    } catch {
      // The parser's own: a call for help. It takes all others for plain failures.
      if Massl.exitCode(for: error) != .failure { Massl.exit(withError: error) }
      Console.standardError.write(line: "Error: \(error)")
      leave(ExitStatus(of: error))
    }
  }

  /// Ends the process as it stands: threads may still compute, and the libraries' destructors would pull the memory
  /// from under them.
  private static func leave(_ status: ExitStatus) -> Never {
    fflush(nil)
    _exit(status.rawValue)
  }
}
