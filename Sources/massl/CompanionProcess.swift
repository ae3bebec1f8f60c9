import Coordination
import Foundation
import Services
import Synchronization
import Threads

/// Keeps a process running beside a run, which does not notice whether it is there: its page, or what writes event files.
final class CompanionProcess: Sendable {
  /// From one start to the next, doubled as long as it ends at once, in seconds.
  private static let pause = (first: 0.5, last: 60.0)
  /// A process that lives longer did start.
  private static let early = 10.0
  /// Until it has ended once it was told to, in seconds; then the run's process ends without it.
  private static let farewell = 20.0

  /// What it is: "page" for "The page's process ended".
  private let name: String
  private let arguments: [String]
  private let log: ServiceLog
  private let state = Mutex<(process: Process?, isStopping: Bool)>((nil, false))

  /// Starts it.
  /// - Parameters:
  ///   - name: what it is, for people: "page".
  ///   - arguments: massl's, the command first, which is what to type for it later.
  init(_ name: String, arguments: [String], log: @escaping ServiceLog) {
    self.name = name
    self.arguments = arguments
    self.log = log
    startThread(named: "massl-\(arguments[0])") { [self] in keepRunning() }
  }

  /// Ends it, and starts it no more. Returns once it has ended, or has had its time.
  func stop() {
    let process = state.withLock { state in
      state.isStopping = true
      if let process = state.process, process.isRunning { process.terminate() }
      return state.process
    }
    let end = Date() + Self.farewell
    while process?.isRunning ?? false, Date() < end { Thread.sleep(forTimeInterval: 0.02) }
  }

  private func keepRunning() {
    var pause = Self.pause.first
    while let process = start() {
      let begin = Date()
      process.waitUntilExit()
      let isOver = state.withLock { $0.isStopping }
      // It was stopped by whoever stops all of them, or never can start.
      let status = process.terminationReason == .exit ? ExitStatus(rawValue: process.terminationStatus) : nil
      if isOver || status == .done { return }
      if status == .usage || status == .doNotRestart {
        return log(.warning, "The run goes on without its \(name); massl \(arguments[0]) brings it later.")
      }
      pause = Date().timeIntervalSince(begin) > Self.early ? Self.pause.first : min(2 * pause, Self.pause.last)
      log(.warning, "The \(name)'s process ended; starting it again in \(pause) s. The run goes on.")
      Thread.sleep(forTimeInterval: pause)
    }
  }

  /// - Returns: nil if none is to run any more, or none can be started.
  private func start() -> Process? {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    // It multiplies nothing, and a process that crashes must not wait for a person at this terminal.
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["OPENBLAS_NUM_THREADS": "1", "SWIFT_BACKTRACE": "interactive=no"]) { $1 }
    return state.withLock { state in
      guard !state.isStopping else { return nil }
      do {
        try process.run()
      } catch {
        log(.warning, "The \(name)'s process cannot be started: \(error.localizedDescription) The run goes on without it.")
        return nil
      }
      state.process = process
      return process
    }
  }
}
