import ArgumentParser
import Configuration
import Foundation
import Machine
import Messages
import Numerics
import Services
import Telemetry
import Training

/// `massl worker`: computes slices for a coordinator.
package struct WorkerCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "worker",
    abstract: "Run a worker: needs nothing but the coordinator's address.",
    discussion: """
      It waits for a coordinator that is not there, comes back to one that was away, and may be killed at any time.

        massl worker --coordinator tcp://10.0.0.1:5570 --key worker.key --coordinator-key 8f3a...
      """)

  @Option(
    help: ArgumentHelp(
      "The coordinator: tcp://HOST:PORT, or a file with an address a line, which may change. May be given several times.",
      valueName: "address"))
  package var coordinator: [String]

  @Option(
    help: ArgumentHelp(
      "The run's pictures here, in any form; those that are not there, or differ, come from the coordinator.",
      valueName: "pictures"))
  package var data: String?

  @Option(
    help: ArgumentHelp("Slices computed at once. (default: one for each processor it may use)", valueName: "count"))
  package var threads: Int?

  @Option(
    help: ArgumentHelp(
      "RAM for memory rows, so that each is fetched once: 512MiB, 16GiB, 0 for none. Taken as rows come.",
      valueName: "bytes"))
  package var rowCache = ByteCount(WorkerOptions.rowCacheBytes)

  @Option(
    help: ArgumentHelp(
      "Where other workers fetch weights from it; port 0 for any free one, none for nowhere. (default: a free port at this "
        + "machine's address towards the coordinator)", valueName: "address"))
  package var listen: String?

  @Option(
    help: ArgumentHelp(
      "Where others reach it, if that is not where it listens; port 0 for the one that it took.", valueName: "address"))
  package var advertise: String?

  @Option(help: ArgumentHelp("This machine, in audits and quarantine. (default: its host name)", valueName: "name"))
  package var host: String?

  @OptionGroup package var security: PeerSecurityOptions

  @Option(
    help: ArgumentHelp(
      "Public keys that may fetch weights from it, one a line, read again when it changes; with --key.",
      valueName: "file"))
  package var allowedKeys: String?

  @Option(help: "Least severe message in the log.")
  package var logLevel: LogLevelName = .info

  @Flag(help: .hidden)
  package var stopWithParent = false

  package init() {}

  package func validate() throws {
    if let host, !(1...WireLimits.shortText).contains(host.utf8.count) {
      throw ValidationError("--host must have from 1 to \(WireLimits.shortText) bytes, not \(host.utf8.count).")
    }
    if listen == Self.nowhere, advertise != nil || allowedKeys != nil {
      throw ValidationError("--advertise and --allowed-keys are of no use with --listen \(Self.nowhere).")
    }
    if allowedKeys != nil, security.key == nil {
      throw ValidationError("--allowed-keys goes with --key: who this worker is, and who may ask it.")
    }
    if let threads, !(1...WireLimits.threads).contains(threads) {
      throw ValidationError("--threads must be from 1 to \(WireLimits.threads), not \(threads).")
    }
  }

  package func run() throws {
    try DescriptorLimit.check(for: "A worker")
    let search = try CoordinatorSearch(coordinator) { [security] in try security.security(for: $0) }
    let log = ProcessLog("worker", level: logLevel)
    let signals = Signals(withParent: stopWithParent)
    let gate = WorkerGate(
      listen: try Self.endpoint(listen), advertised: try Self.endpoint(advertise), isClosed: listen == Self.nowhere,
      security: security, allowedKeys: allowedKeys, log: log.line)
    let manager = ServiceManager.ofThisProcess(isChild: stopWithParent, log: log.line)
    // It is up though nobody may answer yet: what waits for a worker's start would wait for the coordinator's.
    manager?.tell(.ready, .status("Looks for a coordinator at \(search)."))
    let isToStop = {
      manager?.beat()
      return signals.haveCome
    }
    // A worker whose coordinator may be elsewhere now looks for it again.
    var remark = stopWithParent ? nil : Allowance.current.sentence
    while let found = try search.find(until: isToStop, log: log.line) {
      let precision = try Self.takeClass(of: found)
      // Once, and not before this process may have begun anew.
      if let sentence = remark.take() { log.line(.info, sentence) }
      let serving = try gate.serving(towards: found.endpoint)
      manager?.tell(.status("Works for the coordinator at \(found.endpoint)."))
      let outcome = try work(
        for: found, precision, serving, search.mayMove ? Self.silence : nil, signals, manager, log.line)
      if outcome == .stopped { log.line(.info, "Stopped as asked. Leases went back to the coordinator.") }
      if outcome != .silent { return }
      manager?.tell(.status("Looks for a coordinator at \(search)."))
    }
    log.line(.info, "Stopped as asked, before a coordinator was found.")
  }

  /// For `--listen`.
  private static let nowhere = "none"

  private static func endpoint(_ text: String?) throws -> Endpoint? {
    try text.flatMap { $0 == nowhere ? nil : try Endpoint($0) }
  }

  /// Silence after which a coordinator that may be elsewhere is looked for.
  private static let silence = Duration.seconds(10)

  /// Before anything is computed: which processors' rounding the run has.
  /// - Returns: what the run's products multiply.
  private static func takeClass(of found: CoordinatorSearch.Found) throws -> PrecisionName {
    guard let name = ComputeClassName(rawValue: found.status.computeClass),
      let precision = PrecisionName(rawValue: found.status.precision)
    else { throw ServiceError.unreadableStatus(coordinator: "\(found.endpoint)") }
    try Relaunch.ensure(ComputeClass(name, ProductPrecision(precision)), ProductPrecision(precision))
    return precision
  }

  /// - Returns: how it ended.
  private func work(
    for found: CoordinatorSearch.Found, _ precision: PrecisionName, _ serving: WorkerOptions.Serving?,
    _ givesUpAfter: Duration?, _ signals: Signals, _ manager: ServiceManager?, _ log: @escaping ServiceLog
  ) throws -> WorkerService.Outcome {
    let host = host ?? ProcessInfo.processInfo.hostName
    let service = try WorkerService(
      WorkerOptions(
        coordinator: found.endpoint, data: data, threads: threads ?? Allowance.current.processors.usable,
        security: found.security, precision: precision, probe: probeDigest(precision),
        name: "\(host)/\(ProcessInfo.processInfo.processIdentifier)", host: host,
        rowCacheBytes: rowCache.bytes, givesUpAfter: givesUpAfter, serving: serving),
      log: log)
    if let endpoint = service.endpoint { log(.info, "Gives weights to other workers at \(endpoint).") }
    signals.tell { _ in
      manager?.tell(.stopping)
      service.requestStop()
    }
    return try service.run { manager?.beat() }
  }
}

extension LogLevelName: ExpressibleByArgument {}
