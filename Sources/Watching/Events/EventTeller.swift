import Foundation
import Processes
import Services
import Telemetry
import Threads

/// Runs a command for each event, one after the other in a thread of its own, so that nobody waits for it.
public final class EventTeller: Sendable {
  /// That a command has, in seconds.
  static let patience = 30.0
  /// Events that wait while a command runs; then new ones are dropped.
  private static let waiting = 64

  private let command: ShellCommand
  private let run: String
  private let host: String
  private let log: ServiceLog
  private let patience: Double
  private let queue = BoundedQueue<RunEvent>(capacity: waiting)
  private let hasEnded = DispatchSemaphore(value: 0)

  /// - Parameters:
  ///   - command: for the shell.
  ///   - run: the run directory.
  ///   - patience: that a command has, in seconds.
  public convenience init(_ command: String, run: String, log: @escaping ServiceLog) {
    self.init(command, run: run, patience: Self.patience, log: log)
  }

  package init(_ command: String, run: String, patience: Double, log: @escaping ServiceLog) {
    self.command = ShellCommand(command)
    self.run = URL(fileURLWithPath: run).path
    self.log = log
    self.patience = patience
    host = ProcessInfo.processInfo.hostName
    startThread(named: "massl-events") { [self] in
      while let event = queue.next() { runCommand(for: event) }
      hasEnded.signal()
    }
  }

  public func tell(_ event: RunEvent) {
    log(event.isOver || event.kind == .finished ? .info : .warning, "\(event.kind.rawValue): \(event.message)")
    if !queue.tryAppend(event) {
      log(.warning, "'\(event.kind.rawValue)' is told to nobody: \(Self.waiting) events wait for the command already.")
    }
  }

  /// Returns once all events were told. Then none is any more.
  public func finish() {
    queue.close()
    hasEnded.wait()
  }

  private func runCommand(for event: RunEvent) {
    let name = "The command for '\(event.kind.rawValue)'"
    do throws(ProcessError) {
      switch try command.run(
        input: event.json(run: run, host: host, at: Date().timeIntervalSince1970) + "\n",
        variables: event.variables(run: run, host: host), within: patience)
      {
      case .done: break
      case .failed(let end, let said): log(.warning, "\(name) failed with \(end)\(said.map { ": \($0)" } ?? ".")")
      case .tookTooLong: log(.warning, "\(name) took longer than \(ProgressLine.duration(patience)), and was ended.")
      }
    } catch {
      log(.warning, "\(name) was not run: \(error)")
    }
  }
}
