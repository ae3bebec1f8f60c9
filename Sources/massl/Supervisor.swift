import Coordination
import Durability
import Foundation
import Machine
import Services
import Synchronization

/// Keeps a coordinator and its workers running on this machine, and ends with the coordinator.
///
/// Processes that end are started again: workers whatever became of them, for they own nothing; the coordinator when it
/// was killed or says "try again", for it resumes from its newest checkpoint. It comes back on the same port, where
/// workers look. What ends for good, by its exit code or again and again, ends the run.
package final class Supervisor: Sendable {
  /// From one look to the next, in seconds.
  private static let pause = 0.05
  /// A run that is locked may be one whose processes are just leaving.
  private static let lockPatience = 15.0
  /// From one start of a process that ends at once to the next.
  private static let restartPause = 0.5
  /// Ends of the coordinator without a word from it in between, after which it is given up.
  private static let restartsAtMost = 5
  /// A worker that left in order was told that the run is done, and the coordinator will end too; if it does not, the
  /// worker was stopped by somebody else.
  private static let farewell = 5.0
  /// A worker that ends sooner after its start did not get to work.
  private static let early = 10.0
  /// Early ends of workers, one after the other, after which the run is given up.
  private static let earlyEndsAtMost = 10
  /// Workers that were told to leave are killed after this.
  private static let leaving = 10.0

  private let program: URL
  private let coordinator: [String]
  private let addressPath: String
  private let lockPath: String
  private let workers: [[String]]
  /// What the processes need, and what there is, in sentences.
  private let memory: String
  private let log: ServiceLog
  private let isStopping = Atomic(false)
  private let isHurried = Atomic(false)

  /// A worker, and when it was started.
  private struct Worker {
    let process: Process
    let started = Date()
    /// Of any process of the machine or its part, at the start.
    let memoryEnds = OutOfMemory.ends
    var ended: Date?

    init(_ process: Process) { self.process = process }
  }

  /// - Parameters:
  ///   - program: what is started; by default massl itself.
  ///   - coordinator: its arguments, without where to listen.
  ///   - addressPath: the file in which it says where it listens.
  ///   - lockPath: the file that this process locks once the coordinator listens, for whoever looks for it.
  ///   - workers: each one's arguments, without the coordinator's address.
  ///   - memory: what the processes need, and what there is, in sentences; said when one was killed.
  package init(
    program: URL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath(), coordinator: [String],
    addressPath: String, lockPath: String, workers: [[String]], memory: String, log: @escaping ServiceLog
  ) {
    self.program = program
    self.coordinator = coordinator
    self.addressPath = addressPath
    self.lockPath = lockPath
    self.workers = workers
    self.memory = memory
    self.log = log
  }

  /// From any thread, as often as one likes: the coordinator writes a last checkpoint, then all end; in a hurry all are
  /// killed.
  package func requestStop(_ request: StopRequest) {
    isStopping.store(true, ordering: .relaxed)
    if request == .hurry { isHurried.store(true, ordering: .relaxed) }
  }

  private var wasAsked: Bool { isStopping.load(ordering: .relaxed) }
  private var mustHurry: Bool { isHurried.load(ordering: .relaxed) }

  /// Returns when the run is done, was stopped, or cannot go on.
  package func run() throws -> ExitStatus {
    guard !wasAsked else {
      log(.info, "Stopped as asked before it began: nothing is lost. The same command goes on.")
      return .done
    }
    let started = Date()
    var listen = "tcp://127.0.0.1:0"
    var running: [Worker] = []
    var restarts = 0
    var killed = KilledProcesses(need: memory)
    var lock: (any StorageLock)?
    defer { lock?.release() }
    while true {
      // 1. The coordinator, until it listens or has ended.
      let stale = addressFile
      let (begun, memoryEnds) = (Date(), OutOfMemory.ends)
      let process = try start(coordinator + ["--listen", listen, "--stop-with-parent"])
      var failure: ExitStatus?
      if let address = waitForAddress(process, otherThan: stale) {
        if running.isEmpty { running = try workers.indices.map { try startWorker($0, address) } }
        listen = address
        restarts = 0
        // Nobody else starts coordinators here, for this one has the run. Whoever has the lock is looking, or leaving.
        lock = lock ?? (try? FileStorage().lock(lockPath))
        // 2. The run.
        failure = try watch(process, &running, address, &killed)
      }
      process.waitUntilExit()

      // 3. What its end means.
      let status = process.terminationReason == .exit ? ExitStatus(rawValue: process.terminationStatus) : nil
      if let final = failure ?? (status == .tryAgain ? nil : status) {
        end(running)
        return final
      }
      let (words, isHopeless) = killed.end(
        bySignal: Self.signal(of: process), after: Date().timeIntervalSince(begun),
        lackedMemory: OutOfMemory.ends > memoryEnds)
      if isHopeless, !wasAsked {
        log(.error, "The coordinator \(Self.end(of: process)), and would again: the run stops.\(words)")
        end(running)
        return .doNotRestart
      }
      let isYoung = running.isEmpty && Date().timeIntervalSince(started) < Self.lockPatience
      restarts += isYoung ? 0 : 1
      guard !wasAsked, running.isEmpty ? isYoung : restarts <= Self.restartsAtMost else {
        end(running)
        if status == nil {
          log(
            .warning, "The coordinator \(Self.end(of: process)). The same command resumes from the newest checkpoint.")
        }
        return status ?? .tryAgain
      }
      log(.warning, "The coordinator \(Self.end(of: process)); starting it again.\(words)")
      Thread.sleep(forTimeInterval: Self.restartPause)
    }
  }
}

// MARK: - Watching

extension Supervisor {
  /// Returns when the coordinator has ended; until then keeps the workers running.
  /// - Returns: why the run is given up, if it is.
  private func watch(
    _ coordinator: Process, _ running: inout [Worker], _ address: String, _ killed: inout KilledProcesses
  ) throws -> ExitStatus? {
    var failure: ExitStatus?
    var isTold = false
    var earlyEnds = 0
    while coordinator.isRunning {
      Thread.sleep(forTimeInterval: Self.pause)
      if wasAsked || failure != nil, !isTold {
        coordinator.terminate()
        isTold = true
      }
      if mustHurry { kill(coordinator.processIdentifier, SIGKILL) }
      for index in running.indices where !isTold && !running[index].process.isRunning && coordinator.isRunning {
        let ended = running[index].ended ?? Date()
        running[index].ended = ended
        let process = running[index].process
        let status = process.terminationReason == .exit ? ExitStatus(rawValue: process.terminationStatus) : nil
        if status == .done, Date().timeIntervalSince(ended) < Self.farewell { continue }
        earlyEnds = ended.timeIntervalSince(running[index].started) < Self.early ? earlyEnds + 1 : 0
        let (words, isHopeless) = killed.end(
          bySignal: Self.signal(of: process), after: ended.timeIntervalSince(running[index].started),
          lackedMemory: OutOfMemory.ends > running[index].memoryEnds)
        let description = "Worker \(process.processIdentifier) \(Self.end(of: process))"
        if status == .usage || status == .doNotRestart || isHopeless || earlyEnds > Self.earlyEndsAtMost {
          log(.error, "\(description), and would again: the run stops.\(words)")
          failure = isHopeless ? .doNotRestart : status ?? .failed
          break
        }
        log(.warning, "\(description); starting another.\(words)")
        Thread.sleep(forTimeInterval: Self.restartPause)
        running[index] = try startWorker(index, address)
      }
    }
    return failure
  }

  private func end(_ running: [Worker]) {
    for worker in running where worker.process.isRunning { worker.process.terminate() }
    let deadline = Date() + Self.leaving
    for worker in running {
      while worker.process.isRunning, Date() < deadline, !mustHurry { Thread.sleep(forTimeInterval: Self.pause) }
      if worker.process.isRunning { kill(worker.process.processIdentifier, SIGKILL) }
      worker.process.waitUntilExit()
    }
  }

  /// That ended it; nil if it ended itself.
  private static func signal(of process: Process) -> Int32? {
    process.terminationReason == .uncaughtSignal ? process.terminationStatus : nil
  }

  private static func end(of process: Process) -> String {
    process.terminationReason == .exit
      ? "ended with exit code \(process.terminationStatus)" : "was ended by signal \(process.terminationStatus)"
  }
}

// MARK: - Starting

extension Supervisor {
  private func startWorker(_ index: Int, _ address: String) throws -> Worker {
    Worker(try start(workers[index] + ["--coordinator", address, "--stop-with-parent"]))
  }

  private func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.environment = Signals.environmentOfChildren
    do {
      try process.run()
    } catch {
      throw RunFailure.retryable(
        "Cannot start 'massl \(arguments.first ?? "")': \(error.localizedDescription) Raise the limits of this user's "
          + "processes (ulimit -u), or the container's (pids.max).")
    }
    return process
  }

  /// Which file says where the coordinator listens: each coordinator puts a new one in its place.
  private var addressFile: [String] {
    let attributes = (try? FileManager.default.attributesOfItem(atPath: addressPath)) ?? [:]
    let keys: [FileAttributeKey] = [.systemFileNumber, .modificationDate]
    return keys.map { key in attributes[key].map { "\($0)" } ?? "none" }
  }

  /// The coordinator's address, once it listens; nil if it ends before.
  /// - Parameter stale: the file as it was before; it may be another, living coordinator's.
  private func waitForAddress(_ process: Process, otherThan stale: [String]) -> String? {
    var isTold = false
    while process.isRunning {
      if addressFile != stale, let text = try? String(contentsOfFile: addressPath, encoding: .utf8),
        text.hasSuffix("\n")
      {
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      if wasAsked, !isTold {
        process.terminate()
        isTold = true
      }
      if mustHurry { kill(process.processIdentifier, SIGKILL) }
      Thread.sleep(forTimeInterval: Self.pause)
    }
    return nil
  }
}
