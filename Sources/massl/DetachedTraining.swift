import Checkpoints
import Durability
import Foundation
import Printing
import Processes
import Services
import Telemetry

/// `massl train --detach`: the same command in a session of its own, looked after until the run has begun.
struct DetachedTraining {
  /// From one look to the next, in seconds.
  private static let pause = 0.1
  private static let patience = Duration.seconds(1)

  let run: String
  /// Of the command, without `--detach`.
  let arguments: [String]

  private var log: String { "\(run)/\(RunDirectory.supervisorLogFile)" }

  /// Returns once a worker is with the coordinator, or the run has ended before.
  /// - Throws: `RunFailure.retryable` if the run has a process already; `ProcessError`; `DurabilityError`.
  func start() throws -> ExitStatus {
    let storage = FileStorage()
    if try RunDirectory.isRun(run, in: storage), case .here(let process) = try RunProcess(ofRunAt: run) {
      throw RunFailure.retryable(
        "\(run) is running already, as process \(process.number). massl attach --run \(run.shellWord) shows it, massl "
          + "stop --run \(run.shellWord) ends it.")
    }
    let isNew = try !storage.exists(run)
    try storage.makeDirectory(run)
    let size = ((try? FileManager.default.attributesOfItem(atPath: log))?[.size] as? Int) ?? 0
    let stale = addressFile
    let environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "interactive=no"]) { $1 }
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    var training = try DetachedProcess(program, arguments, environment: environment, log: log)
    let signals = Signals()
    // Who does not want to wait for the beginning does not want the run.
    let number = training.number
    signals.tell { _ in kill(number, SIGTERM) }

    var said = FollowedFile(log, from: size)
    while true {
      let end = training.ended()
      for line in said.newLines() { Console.standardError.write(line: line) }
      if let end {
        if let line = said.rest() { Console.standardError.write(line: line) }
        return try ended(end, isNew: isNew)
      }
      if addressFile != stale, let step = stepWithWorkers() {
        try StandardOutput.write(
          """
          The run has begun: process \(training.number), step \(step).
          Log      \(log)
          Look in  massl attach --run \(run.shellWord)
          Stop     massl stop --run \(run.shellWord)
          """)
        return .done
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
  }

  /// What the process said stands on this terminal already; a folder that is no run keeps nothing of it.
  private func ended(_ end: ProcessEnd, isNew: Bool) throws -> ExitStatus {
    let storage = FileStorage()
    if try !RunDirectory.isRun(run, in: storage) {
      try storage.remove(log)
      if isNew, try storage.list(run).isEmpty { try storage.remove(run) }
    }
    switch end {
    case .code(0):
      try StandardOutput.write("The run has ended. Log: \(log)")
      return .done
    case .code(let code): return ExitStatus(rawValue: code) ?? .failed
    case .signal(let number):
      Console.standardError.write(
        line: "The run was ended by signal \(number) before it had begun. The same command goes on.")
      return .tryAgain
    }
  }
}

// MARK: - Looking at the coordinator

extension DetachedTraining {
  /// Which file says where the coordinator listens.
  private var addressFile: FileIdentity? { FileIdentity(NamedCoordinator.path(ofRunAt: run)) }

  /// The step that the coordinator is at, once workers are with it.
  private func stepWithWorkers() -> Int? {
    let status = NamedCoordinator.glance(atRun: run, patience: Self.patience)?.coordination
    return status.flatMap { $0.workers.isEmpty ? nil : $0.step }
  }
}
