import Foundation
import Launching
import Runs
import Services
import Telemetry

/// Has the machines of a cluster run what a hosts file says.
struct Launcher: Sendable {
  let cluster: Cluster
  /// The hosts file.
  let file: String
  let remote: RemoteHosts

  init(file: String, configuration: String?) throws {
    self.file = file
    cluster = try Cluster(contentsOf: file)
    remote = try RemoteHosts(configuration: configuration)
  }

  func folder(of host: ClusterHost) -> String { HostFolder.path(of: host, in: cluster) }

  /// `massl service VERB` on a machine, by the program that was started there.
  func service(_ verb: String, _ arguments: [String] = [], on host: ClusterHost) -> RemoteCommand {
    .installedService(in: folder(of: host), verb, arguments)
  }

  func status(of host: ClusterHost) throws(LaunchError) -> HostStatus {
    try remote.value(HostStatus.self, of: service("status", ["--json"], on: host), on: host)
  }

  /// How the run is doing; nil while its coordinator does not answer and there is no checkpoint.
  func runStatus(_ coordinator: HostStatus) -> RunStatus? {
    guard let run = coordinator.run, let key = coordinator.publicKey else { return nil }
    let host = cluster.coordinator
    let command = RemoteCommand.installed(
      in: folder(of: host),
      ["status", "--json", "--run", run, "--key", "\(folder(of: host))/key", "--coordinator-key", key])
    return try? remote.value(RunStatus.self, of: command, on: host)
  }
}

// MARK: - Making machines ready

extension Launcher {
  /// A machine that has the program and a key.
  struct Prepared: Sendable {
    let host: ClusterHost
    let home: String
    /// From the root on.
    let program: String
    let key: HostKey
  }

  func prepare(_ host: ClusterHost, _ own: OwnProgram) throws(LaunchError) -> Prepared {
    let programs = HostFolder.programs(own.content)
    let path = host.program ?? "\(programs)/massl"
    var probe = try self.probe(path, on: host)
    if host.program == nil, !probe.hasProgram {
      guard probe.machine == own.machine else {
        throw .otherMachine(host: host.name, found: probe.machine, own: own.machine)
      }
      let archive: String
      do { archive = try own.archive() } catch { throw .failed(host: host.name, words: "\(error)") }
      _ = try remote.run(.unpack(into: programs), on: host, inputFile: archive)
      probe = try self.probe(path, on: host)
    }
    guard probe.hasProgram else { throw .noProgram(host: host.name, path: path) }
    guard probe.missingLibraries.isEmpty else {
      throw .missingLibraries(host: host.name, probe.missingLibraries)
    }
    guard probe.version == Version.line else {
      let found = probe.version.isEmpty ? "that does not say its version" : probe.version
      throw .otherVersion(host: host.name, found: found, own: Version.line)
    }
    let key = try remote.value(HostKey.self, of: .service(path, ["key", folder(of: host)]), on: host)
    return Prepared(
      host: host, home: probe.home, program: path.hasPrefix("/") ? path : "\(probe.home)/\(path)", key: key)
  }

  private func probe(_ path: String, on host: ClusterHost) throws(LaunchError) -> HostProbe {
    guard let probe = HostProbe(try remote.run(.probe(path), on: host)) else {
      throw .unreadableAnswer(host: host.name)
    }
    return probe
  }

  /// Starts what a machine is to run.
  /// - Returns: what it says of it.
  func start(
    _ prepared: Prepared, allowed: AllowedKeysText, coordinatorKey: String, run: RunArguments, recipe: String?
  ) throws(LaunchError) -> String {
    let host = prepared.host
    let order = ServiceOrder(
      service: ServiceDescription(
        cluster: cluster.name, name: host.name, role: host.role, program: prepared.program,
        arguments: cluster.arguments(of: host, home: prepared.home, coordinatorKey: coordinatorKey, run: run)),
      allowedKeys: allowed.text, recipe: host.role == .coordinator ? recipe : nil)
    guard let text = try? JSONEncoder.ofService.encode(order) else {
      throw .unreadableAnswer(host: host.name)
    }
    return try remote.run(
      .service(prepared.program, ["start", folder(of: host), "--order"]), on: host,
      input: String(decoding: text, as: UTF8.self))
  }

  /// Tells machines whom they let in.
  /// - Returns: what went wrong.
  func allow(_ allowed: AllowedKeysText, on hosts: [ClusterHost]) -> [LaunchError] {
    concurrently(hosts) { host -> LaunchError? in
      do throws(LaunchError) {
        _ = try remote.run(service("allow", on: host), on: host, input: allowed.text)
        return nil
      } catch { return error }
    }.compactMap { $0 }
  }
}

// MARK: - Looking whether they work together

extension Launcher {
  /// From one look to the next, in seconds.
  private static let pause = 1.0
  /// How long to look for the coordinator, and from then on for the others.
  private static let patience = 60.0
  private static let patienceWithOthers = 30.0
  /// For a worker's first result, in seconds: until then one whose second port is closed has said so.
  private static let proof = 6.0

  /// Waits until the coordinator hears the hosts.
  /// - Returns: those that it does not hear for long, that reach one of its ports alone, or that have ended; or the
  ///   coordinator alone.
  func unheard(_ hosts: [ClusterHost]) -> [LaunchError] {
    let start = Date()
    var (live, heard): (Date?, Date?)
    while true {
      let coordinator: HostStatus
      do { coordinator = try status(of: cluster.coordinator) } catch { return [error] }
      // A run that is done needs nobody.
      if coordinator.state == .ended, coordinator.exitCode == 0 { return [] }
      if coordinator.state == .stopped { return [.stopped(host: coordinator.name)] }
      if coordinator.state == .ended { return [.ended(coordinator)] }
      let run = runStatus(coordinator)
      let missing = hosts.filter { $0.role != .coordinator && run?.hears($0) != true }
      let idle = hosts.filter { host in
        host.role == .worker && !missing.contains(host) && run?.hasWork(of: host) != true
      }
      let now = Date()
      guard run?.isLive == true else {
        if now > start + Self.patience { return [.silent(host: coordinator.name, log: coordinator.log)] }
        Thread.sleep(forTimeInterval: Self.pause)
        continue
      }
      live = live ?? now
      if missing.isEmpty { heard = heard ?? now }
      // A step may take minutes: who complains of nothing is well.
      if let heard, idle.isEmpty || now > heard + Self.proof { return cutOff(idle) }
      if let live, heard == nil {
        let reasons = concurrently(missing) { host -> LaunchError in
          do throws(LaunchError) {
            let status = try status(of: host)
            return status.state == .ended ? .ended(status) : .unheard(host: host.name, log: status.log)
          } catch { return error }
        }
        // Nobody need wait for those that will not come.
        let haveEnded = reasons.allSatisfy { if case .ended = $0 { true } else { false } }
        if haveEnded || now > live + Self.patienceWithOthers { return reasons + cutOff(idle) }
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
  }

  /// Those of the hosts that say that they do not reach the coordinator's second port.
  private func cutOff(_ hosts: [ClusterHost]) -> [LaunchError] {
    concurrently(hosts) { host -> LaunchError? in
      guard let log = (try? status(of: host))?.log, BulkSilence.isSaid(in: log) else { return nil }
      return .cutOff(host: host.name, log: log)
    }.compactMap { $0 }
  }
}

extension RunStatus {
  /// Whether a coordinator said it, not a checkpoint.
  fileprivate var isLive: Bool { probe != nil }

  fileprivate func hears(_ host: ClusterHost) -> Bool {
    host.role == .memory
      ? coordination.memoryShards?.shards.contains { $0.name == host.name && $0.state != "away" } == true
      : coordination.connectedWorkers.contains { $0.host == host.name }
  }

  /// Whether a result of a worker's counts.
  fileprivate func hasWork(of host: ClusterHost) -> Bool {
    coordination.connectedWorkers.contains { $0.host == host.name && $0.acceptedSlices > 0 }
  }
}

extension LaunchError {
  fileprivate static func ended(_ status: HostStatus) -> LaunchError {
    .ended(host: status.name, code: status.exitCode, log: status.log)
  }
}
