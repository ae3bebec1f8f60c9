import ArgumentParser
import Configuration
import Foundation
import Numerics
import Services
import Training
import Wire

/// `massl worker`: computes slices for a coordinator.
package struct WorkerCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Run a worker: needs nothing but the coordinator's address.",
    discussion: """
      It waits for a coordinator that is not there, comes back to one that was away, and may be killed at any time.

        massl worker --coordinator tcp://10.0.0.1:5570 --key worker.key --coordinator-key 8f3a...
      """)

  @Option(help: ArgumentHelp("The coordinator: tcp://HOST:PORT.", valueName: "address"))
  package var coordinator: String

  @Option(
    help: ArgumentHelp(
      "Folder with the run's pictures; those that are not there, or differ, come from the coordinator.",
      valueName: "folder"))
  package var data: String?

  @Option(help: ArgumentHelp("Slices computed at once. (default: one a core)", valueName: "count"))
  package var threads: Int?

  @OptionGroup package var security: PeerSecurityOptions

  @Option(help: "Least severe message in the log.")
  package var logLevel: LogLevelName = .info

  @Flag(help: .hidden)
  package var stopWithParent = false

  package init() {}

  package func validate() throws {
    if let threads, !(1...Limits.threads).contains(threads) {
      throw ValidationError("--threads must be from 1 to \(Limits.threads), not \(threads).")
    }
  }

  package func run() throws {
    let endpoint = try Endpoint(coordinator)
    let security = try security.security(for: endpoint)
    let log = ProcessLog("worker", level: logLevel)
    // 1. Which processors' rounding the run has, before anything is computed.
    let signals = Signals(withParent: stopWithParent)
    guard let computeClass = try askForComputeClass(endpoint, security, signals, log.line) else { return }
    try Relaunch.ensure(computeClass)
    // 2. Work.
    let service = try WorkerService(
      WorkerOptions(
        coordinator: endpoint, data: data, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount,
        security: security, probe: probeDigest(),
        name: "\(ProcessInfo.processInfo.hostName)/\(ProcessInfo.processInfo.processIdentifier)"),
      log: log.line)
    signals.tell { service.requestStop() }
    _ = try service.run()
  }

  /// Asks until there is an answer. Nil if this process is to stop before.
  private func askForComputeClass(
    _ endpoint: Endpoint, _ security: Security<ClientKeys>, _ signals: Signals, _ log: ServiceLog
  ) throws -> ComputeClass? {
    let inquiry = try StatusInquiry(of: endpoint, security: security)
    let start = ContinuousClock.now
    var complainAt = start + .seconds(3)
    var why: WireError?
    while !signals.haveCome {
      let answer = try inquiry.ask(patience: .seconds(1))
      switch answer {
      case .status(let status):
        guard let name = ComputeClassName(rawValue: status.computeClass) else {
          throw ServiceError.unreadableStatus(coordinator: "\(endpoint)")
        }
        return ComputeClass(name)
      case .none(let reason):
        why = reason ?? why
        guard ContinuousClock.now >= complainAt else { continue }
        let waited = ContinuousClock.now - start
        complainAt = .now + min(waited, .seconds(60))
        let silence = "No answer from a coordinator at \(endpoint) for \(waited.components.seconds) s"
        log(.warning, why.map { "\(silence). \($0)" } ?? "\(silence); still trying.")
      }
    }
    return nil
  }
}

extension LogLevelName: ExpressibleByArgument {}
