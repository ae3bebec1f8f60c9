import Coordination
import Foundation
import Services
import Synchronization

/// Keeps a coordinator and its workers running on this machine, and ends with the coordinator.
///
/// Processes that end are started again: workers always, for they own nothing; the coordinator when it was killed or
/// says "try again", for it resumes from its newest checkpoint. It comes back on the same port, where workers look.
final class Supervisor: Sendable {
  /// From one look to the next.
  private static let pause = 0.05
  /// A run that is locked may be one whose processes are just leaving.
  private static let lockPatience = 15.0
  /// From one start of a process that ends at once to the next.
  private static let restartPause = 0.5
  /// Ends of the coordinator without a word from it in between, after which it is given up.
  private static let restartsAtMost = 5

  private let coordinator: [String]
  private let addressPath: String
  private let workers: [[String]]
  private let log: ServiceLog
  private let isStopping = Atomic(false)

  /// - Parameters:
  ///   - coordinator: its arguments, without where to listen.
  ///   - addressPath: the file in which it says where it listens.
  ///   - workers: each one's arguments, without the coordinator's address.
  init(coordinator: [String], addressPath: String, workers: [[String]], log: @escaping ServiceLog) {
    self.coordinator = coordinator
    self.addressPath = addressPath
    self.workers = workers
    self.log = log
  }

  /// From any thread: the coordinator writes a last checkpoint, then all end.
  func requestStop() { isStopping.store(true, ordering: .relaxed) }

  /// Returns when the run is done, was stopped, or cannot go on.
  func run() throws -> ExitStatus {
    let started = Date()
    var listen = "tcp://127.0.0.1:0"
    var running: [Process] = []
    var restarts = 0
    while true {
      // 1. The coordinator, until it listens or has ended.
      try? FileManager.default.removeItem(atPath: addressPath)
      let process = try start(coordinator + ["--listen", listen, "--stop-with-parent"])
      if let address = waitForAddress(process) {
        if running.isEmpty {
          running = try workers.map { try start($0 + ["--coordinator", address, "--stop-with-parent"]) }
        }
        listen = address
        restarts = 0
        // 2. The run.
        try watch(process, &running, address)
      }
      process.waitUntilExit()

      // 3. What its end means.
      let status = process.terminationReason == .exit ? ExitStatus(rawValue: process.terminationStatus) : nil
      if let status, status != .tryAgain {
        end(running)
        return status
      }
      let isYoung = running.isEmpty && Date().timeIntervalSince(started) < Self.lockPatience
      restarts += isYoung ? 0 : 1
      guard !isStopping.load(ordering: .relaxed), running.isEmpty ? isYoung : restarts <= Self.restartsAtMost else {
        end(running)
        return status ?? .tryAgain
      }
      log(.warning, "The coordinator \(Self.end(of: process)); starting it again.")
      Thread.sleep(forTimeInterval: Self.restartPause)
    }
  }

  /// Returns when the coordinator has ended; until then keeps the workers running.
  private func watch(_ coordinator: Process, _ running: inout [Process], _ address: String) throws {
    var isTold = false
    while coordinator.isRunning {
      Thread.sleep(forTimeInterval: Self.pause)
      if isStopping.load(ordering: .relaxed), !isTold {
        coordinator.terminate()
        isTold = true
      }
      // A worker that left in order was told that the run is done.
      for index in running.indices where !running[index].isRunning && coordinator.isRunning && !isTold {
        let ended = running[index]
        if ended.terminationReason == .exit, ended.terminationStatus == ExitStatus.done.rawValue { continue }
        log(.warning, "Worker \(ended.processIdentifier) \(Self.end(of: ended)); starting another.")
        Thread.sleep(forTimeInterval: Self.restartPause)
        running[index] = try start(workers[index] + ["--coordinator", address, "--stop-with-parent"])
      }
    }
  }

  private func end(_ running: [Process]) {
    for worker in running where worker.isRunning { worker.terminate() }
    for worker in running { worker.waitUntilExit() }
  }

  private func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = arguments
    try process.run()
    return process
  }

  /// The coordinator's address, once it listens; nil if it ends before.
  private func waitForAddress(_ process: Process) -> String? {
    while process.isRunning {
      if let text = try? String(contentsOfFile: addressPath, encoding: .utf8), text.hasSuffix("\n") {
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      if isStopping.load(ordering: .relaxed) { process.terminate() }
      Thread.sleep(forTimeInterval: Self.pause)
    }
    return nil
  }

  private static func end(of process: Process) -> String {
    process.terminationReason == .exit
      ? "ended with exit code \(process.terminationStatus)" : "was ended by signal \(process.terminationStatus)"
  }
}
