import ArgumentParser
import Configuration
import Foundation
import Machine
import Telemetry
import Wire

/// The command line: flags in, exit code out. What it starts is in `Services` and `Evaluation`.
package struct Massl: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "massl",
    abstract: "Pre-trains Vision Transformers on unlabelled pictures, on any number of machines.",
    discussion: """
      Results go to standard output, log and progress to standard error.
      Exit codes: 0 done, 1 failed, 64 wrong usage, 65 do not restart (it would fail again), 75 try again, 141 nobody reads
      the results any more.
      """,
    subcommands: [
      TrainCommand.self, AttachCommand.self, StopCommand.self, CoordinatorCommand.self, WorkerCommand.self,
      StatusCommand.self, PageCommand.self, TensorBoardCommand.self, NotifyCommand.self, EvaluateCommand.self,
      VisualizeCommand.self, ExportCommand.self, InspectCommand.self, ForkCommand.self, ReplayCommand.self,
      KeygenCommand.self,
      SynthesizeCommand.self,
      VerifyCommand.self, BenchCommand.self, PlanCommand.self, MemoryCommand.self, LaunchCommand.self,
      ServiceCommand.self,
    ])

  @Flag(help: "Show version, commit, libraries and the compute classes of this processor.")
  package var version = false

  package init() {}

  package func run() throws {
    guard version else { throw CleanExit.helpRequest(self) }
    try StandardOutput.write(Version.text)
  }
}

/// A command that computes or serves: it takes a thread a core, and would wait for ever where there is none.
protocol TakesThreads: ParsableCommand {}

@main
enum Program {
  static func main() {
    // First of all, for whatever is opened before would get a closed one's number.
    StandardDescriptors.fill()
    Signals.hold()
    // A peer or a pager that goes away is an error of that write, not the end of the program.
    signal(SIGPIPE, SIG_IGN)
    DescriptorLimit.raise()
    var command: any ParsableCommand
    do { command = try Massl.parseAsRoot() } catch { leave(saying: error) }
    if !(command is any EndsInOrder) { Signals.release() }
    do {
      // Before any vector instruction, which would end the program without a word.
      try Processor.check(Processor.leastClass)
      if command is any TakesThreads {
        try ProcessLimits.check(threads: ProcessInfo.processInfo.activeProcessorCount + 2)
      }
      try command.run()
      ExitStatus.done.leave()
    } catch let code as ExitCode {
      (ExitStatus(rawValue: code.rawValue) ?? .failed).leave()
    } catch {
      // The parser's own: a call for help. It takes all others for plain failures.
      if Massl.exitCode(for: error) != .failure { leave(saying: error) }
      leave(failing: error)
    }
  }

  /// Ends with what the parser has to say: help, which is a result, or what is wrong with the arguments.
  private static func leave(saying error: any Error) -> Never {
    let text = Massl.fullMessage(for: error, columns: nil)
    let code = Massl.exitCode(for: error)
    do {
      if code.isSuccess {
        try StandardOutput.write(text)
      } else {
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
          Console.standardError.write(line: String(line))
        }
      }
      (ExitStatus(rawValue: code.rawValue) ?? .failed).leave()
    } catch {
      leave(failing: error)
    }
  }

  private static func leave(failing error: any Error) -> Never {
    let status = ExitStatus(of: error)
    // As one that SIGPIPE ended: without a word.
    if status != .pipeClosed {
      for line in (error as? ConfigurationError)?.lines ?? ["\(error)"] {
        Console.standardError.write(line: "Error: \(line)")
      }
    }
    status.leave()
  }
}
