import Coordination
import Foundation
import Processes
import Services
import Synchronization
import Threads

/// Keeps a process running beside a run, which does not notice whether it is there: its page, what writes event files, or
/// who tells people of it.
final class CompanionProcess: Sendable {
  /// From one start to the next, doubled as long as it ends at once, in seconds.
  private static let pause = (first: 0.5, last: 60.0)
  /// A process that lives longer did start.
  private static let early = 10.0
  /// Until it has ended once it was told to, in seconds; then the run's process ends without it.
  private static let farewell = 35.0

  /// What it is: "page" for "The page's process ended".
  private let name: String
  private let arguments: [String]
  private let log: ServiceLog
  /// Whether it is told how the run ends, over its standard input, instead of being told to end.
  private let hearsTheEnd: Bool
  private let state = Mutex<State>(State())

  private struct State {
    var process: ChildProcess?
    var isStopping = false
  }

  /// Starts it.
  /// - Parameters:
  ///   - name: what it is, for people: "page".
  ///   - arguments: massl's, the command first, which is what to type for it later.
  ///   - hearsTheEnd: whether it reads how the run ended, and then ends by itself.
  init(_ name: String, arguments: [String], hearsTheEnd: Bool = false, log: @escaping ServiceLog) {
    self.name = name
    self.arguments = arguments
    self.hearsTheEnd = hearsTheEnd
    self.log = log
    startThread(named: "massl-\(arguments[0])") { [self] in keepRunning() }
  }

  /// Ends it, and starts it no more. Returns once it has ended, or has had its time.
  /// - Parameters:
  ///   - status: how the run ended.
  ///   - why: a sentence of an error.
  func stop(_ status: ExitStatus, _ why: String? = nil) {
    let process = state.withLock { state in
      state.isStopping = true
      if hearsTheEnd {
        state.process?.tell(RunEnding.line(status, why))
      } else {
        state.process?.terminate()
      }
      return state.process
    }
    let end = Date() + Self.farewell
    while let process, process.end == nil, Date() < end { Thread.sleep(forTimeInterval: 0.02) }
  }

  private func keepRunning() {
    var pause = Self.pause.first
    while let process = start() {
      let begin = Date()
      let status = if case .code(let code) = process.wait() { ExitStatus(rawValue: code) } else { ExitStatus?.none }
      let isOver = state.withLock { $0.isStopping }
      // It was stopped by whoever stops all of them, or never can start.
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
  private func start() -> ChildProcess? {
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    // It multiplies nothing.
    let environment = Signals.environmentOfChildren.merging(["OPENBLAS_NUM_THREADS": "1"]) { $1 }
    return state.withLock { state in
      guard !state.isStopping else { return nil }
      do throws(ProcessError) {
        state.process = try ChildProcess(program, arguments, environment: environment, isTold: hearsTheEnd)
      } catch {
        log(.warning, "The \(name)'s process cannot be started: \(error) The run goes on without it.")
        return nil
      }
      return state.process
    }
  }
}

extension [CompanionProcess] {
  /// Runs what they are beside, and tells them how it ended.
  func beside(_ body: () throws -> ExitStatus) throws -> ExitStatus {
    do {
      let status = try body()
      for companion in self { companion.stop(status) }
      return status
    } catch {
      for companion in self { companion.stop(ExitStatus(of: error), "\(error)") }
      throw error
    }
  }
}
