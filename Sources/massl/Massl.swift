import ArgumentParser
import Glibc
import Telemetry

/// The command line: flags in, exit code out. What it starts is in `Services` and `Evaluation`.
struct Massl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "massl",
    abstract: "Pre-trains Vision Transformers on unlabelled pictures, on any number of machines.",
    discussion: """
      Results go to standard output, log and progress to standard error.
      Exit codes: 0 done, 1 failed, 64 wrong usage, 65 do not restart (it would fail again), 75 try again.
      """,
    subcommands: [
      TrainCommand.self, CoordinatorCommand.self, WorkerCommand.self, StatusCommand.self, EvaluateCommand.self,
      ExportCommand.self, InspectCommand.self, ForkCommand.self, ReplayCommand.self, KeygenCommand.self,
      SynthesizeCommand.self, VerifyCommand.self,
    ])
}

@main
enum Program {
  static func main() {
    // A peer or a pager that goes away is an error of that write, not the end of the program.
    signal(SIGPIPE, SIG_IGN)
    var command: any ParsableCommand
    do { command = try Massl.parseAsRoot() } catch { Massl.exit(withError: error) }
    do {
      // Before any vector instruction, which would end the program without a word.
      try Processor.check(Processor.leastClass)
      try command.run()
    } catch { end(with: error) }
  }

  /// Says what went wrong in a sentence, and ends with the error's exit code.
  private static func end(with error: any Error) -> Never {
    // The parser's own: a call for help, an exit code without words. It takes all others for plain failures.
    if error is ExitCode || Massl.exitCode(for: error) != .failure { Massl.exit(withError: error) }
    Console.standardError.write(line: "Error: \(error)")
    exit(ExitStatus(of: error).rawValue)
  }
}
