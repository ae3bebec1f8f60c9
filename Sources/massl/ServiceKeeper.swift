import Coordination
import Durability
import Foundation
import Launching
import Processes
import Telemetry

/// Keeps one process of a service running, and ends with it once no start would help.
///
/// Belongs to the thread that runs it.
struct ServiceKeeper {
  /// From one look to the next, in seconds.
  private static let pause = 0.1
  /// For a supervisor that is just leaving, in seconds.
  private static let lockPatience = 10.0

  /// What its lines in the service's log are marked with.
  static let label = "service"
  /// Of a log's end, among which the process's own words are looked for.
  static let linesAtMost = 16

  let folder: ServiceFolder
  let log: ProcessLog

  /// The newest line of a log that the process itself said: why it ended stands before what its keeper says of that.
  static func said(in lines: [String], hasEnded: Bool) -> String? {
    let own = lines.filter { $0.split(separator: " ", maxSplits: 3).dropFirst(2).first != "\(label):" }
    return (hasEnded ? own.last { $0.hasPrefix("Error: ") } : nil) ?? own.last ?? lines.last
  }

  /// Returns when the process has ended for good, or was stopped as asked.
  /// - Throws: `DurabilityError.locked` if another supervisor keeps it; what its folder lacks.
  func run(_ signals: Signals) throws -> ExitStatus {
    let lock = try patientLock()
    defer { lock.release() }
    try log.attach(file: folder.logPath)
    let service = try folder.description()
    var state = ServiceFolder.State(starts: 0, service: service)
    var rule = RestartRule()
    while !signals.haveCome {
      let begun = Date()
      let end = live(service, &state, signals)
      (state.process, state.lastEnd) = (nil, "\(end)")
      if signals.haveCome { break }
      switch rule.decide(end, after: Date().timeIntervalSince(begun)) {
      case .stays(let code):
        state.exitCode = Int(code)
        note(state)
        try folder.setWanted(false)
        log.line(code == 0 ? .info : .error, "\(service.name) ended with exit code \(code), and is not started again.")
        return ExitStatus(rawValue: code) ?? .failed
      case .starts(let seconds):
        note(state)
        log.line(.warning, "\(service.name) ended with \(end); starting it again in \(Int(seconds)) s.")
        let next = Date() + seconds
        while Date() < next, !signals.haveCome { Thread.sleep(forTimeInterval: Self.pause) }
      }
    }
    note(state)
    log.line(.info, "Stopped \(service.name) as asked.")
    return .done
  }

  /// One life of the process.
  private func live(
    _ service: ServiceDescription, _ state: inout ServiceFolder.State, _ signals: Signals
  ) -> ProcessEnd {
    let (process, said): (Process, LinePipe)
    do {
      (process, said) = try start(service)
    } catch {
      // A machine that has no room for another process may have it later.
      log.line(.error, "Cannot start \(service.program): \(error.localizedDescription)")
      return .code(ExitStatus.tryAgain.rawValue)
    }
    state.starts += 1
    (state.process, state.exitCode) = (Int(process.processIdentifier), nil)
    note(state)
    log.line(.info, "Started \(service.role.rawValue) \(service.name) as process \(process.processIdentifier).")
    return waitForEnd(of: process, said, signals)
  }

  private func patientLock() throws -> any StorageLock {
    let deadline = Date() + Self.lockPatience
    while true {
      do { return try folder.lock() } catch let error as DurabilityError {
        guard case .locked = error, Date() < deadline else { throw error }
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
  }

  /// A disk that is full must not end what runs.
  private func note(_ state: ServiceFolder.State) {
    do { try folder.write(state) } catch { log.line(.warning, "\(error)") }
  }

  /// What it says goes to the log, a line at a time.
  private func start(_ service: ServiceDescription) throws -> (Process, LinePipe) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: service.program)
    process.arguments = service.arguments + ["--stop-with-parent"]
    process.environment = Signals.environmentOfChildren
    process.standardInput = FileHandle.nullDevice
    let said = LinePipe { [log] line in log.write(said: line) }
    (process.standardOutput, process.standardError) = (said.pipe, said.pipe)
    try process.run()
    said.begin()
    return (process, said)
  }

  private func waitForEnd(of process: Process, _ said: LinePipe, _ signals: Signals) -> ProcessEnd {
    var isTold = false
    while process.isRunning {
      if signals.haveCome, !isTold {
        process.terminate()
        isTold = true
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
    said.finish()
    return process.terminationReason == .exit
      ? .code(process.terminationStatus) : .signal(process.terminationStatus)
  }
}
