import Coordination
import Foundation
import Services
import Synchronization
import Threads

/// Keeps a page's process running beside a run, which does not notice whether it is there.
final class PageProcess: Sendable {
  /// From one start to the next, doubled as long as it ends at once, in seconds.
  private static let pause = (first: 0.5, last: 60.0)
  /// A process that lives longer did start.
  private static let early = 10.0

  private let arguments: [String]
  private let log: ServiceLog
  private let state = Mutex<(process: Process?, isStopping: Bool)>((nil, false))

  /// Starts it.
  /// - Parameter arguments: massl's.
  init(arguments: [String], log: @escaping ServiceLog) {
    self.arguments = arguments
    self.log = log
    startThread(named: "massl-page") { [self] in keepRunning() }
  }

  /// Ends it, and starts it no more.
  func stop() {
    state.withLock { state in
      state.isStopping = true
      if let process = state.process, process.isRunning { process.terminate() }
    }
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
        return log(.warning, "The page cannot be shown. The run goes on without it; massl page shows it later.")
      }
      pause = Date().timeIntervalSince(begin) > Self.early ? Self.pause.first : min(2 * pause, Self.pause.last)
      log(.warning, "The page's process ended; starting it again in \(pause) s. The run goes on.")
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
        log(.warning, "The page's process cannot be started: \(error.localizedDescription) The run goes on without it.")
        return nil
      }
      state.process = process
      return process
    }
  }
}
