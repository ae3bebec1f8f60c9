import ArgumentParser
import Foundation
import Launching
import Services
import Telemetry

// MARK: - Hosts that come and go

extension LaunchCommand {
  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Start a worker or shard that is new in the hosts file, while the run goes on.")
    @OptionGroup var place: Place

    @Argument(help: ArgumentHelp("The host's name in the hosts file.", valueName: "host"))
    var name: String

    func run() throws {
      let launcher = try place.launcher()
      let cluster = launcher.cluster
      let host = try cluster.host(named: name, file: launcher.file)
      guard host.role != .coordinator else { throw LaunchError.coordinatorStays(name) }
      let status = try launcher.status(of: cluster.coordinator)
      guard status.version == Version.line else {
        throw LaunchError.otherVersion(host: status.name, found: status.version, own: Version.line)
      }
      let key = try launcher.remote.value(
        HostKey.self, of: launcher.service("key", on: cluster.coordinator), on: cluster.coordinator)
      let prepared = try launcher.prepare(host, OwnProgram())
      let allowed = AllowedKeysText(text: key.allowedKeys)
        .updated(by: [host.name: prepared.key.publicKey], names: cluster.hosts.map(\.name))
      var errors = launcher.allow(allowed, on: cluster.hosts.filter { $0 != host && allowed.keys[$0.name] != nil })
      errors += try LaunchCommand.each([host]) { _ throws(LaunchError) in
        try launcher.start(
          prepared, allowed: allowed, coordinatorKey: key.publicKey,
          run: RunArguments(data: "", run: "", flags: [], hasRecipe: false), recipe: nil)
      }
      if errors.isEmpty { errors = launcher.unheard([host]) }
      try LaunchCommand.report(errors)
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stop a worker or shard for good, while the run goes on, and let its key in no more.",
      discussion:
        "A shard is emptied first: its rows are copied elsewhere. Take the host out of the hosts file afterwards.")
    @OptionGroup var place: Place

    @Argument(help: ArgumentHelp("The host's name in the hosts file.", valueName: "host"))
    var name: String

    /// From one look at a shard that empties itself to the next, in seconds.
    private static let pause = 1.0

    func run() throws {
      let launcher = try place.launcher()
      let cluster = launcher.cluster
      let host = try cluster.host(named: name, file: launcher.file)
      guard host.role != .coordinator else { throw LaunchError.coordinatorStays(name) }
      if host.role == .memory { try empty(host, launcher) }
      let key = try launcher.remote.value(
        HostKey.self, of: launcher.service("key", on: cluster.coordinator), on: cluster.coordinator)
      let rest = cluster.hosts.filter { $0 != host }
      let allowed = AllowedKeysText(text: key.allowedKeys).updated(by: [:], names: rest.map(\.name))
      var errors = try LaunchCommand.each([host]) { host throws(LaunchError) in
        try launcher.remote.run(launcher.service("forget", on: host), on: host)
      }
      // A host that is gone can be told nothing, and shall be let in no more all the same.
      errors += launcher.allow(allowed, on: rest.filter { allowed.keys[$0.name] != nil })
      try LaunchCommand.report(errors)
    }

    /// Returns once the shard was sent away, with nothing in it.
    private func empty(_ host: ClusterHost, _ launcher: Launcher) throws {
      let coordinator = try launcher.status(of: launcher.cluster.coordinator)
      let folder = launcher.folder(of: launcher.cluster.coordinator)
      let words = try launcher.remote.run(
        .installed(
          in: folder,
          ["memory", "drain", host.name, "--coordinator", launcher.cluster.coordinatorAddress]
            + ["--key", "\(folder)/key", "--coordinator-key", coordinator.publicKey ?? ""]),
        on: launcher.cluster.coordinator)
      try StandardOutput.write(words)
      // A machine that is gone empties nothing.
      while (try? launcher.status(of: host))?.state == .running { Thread.sleep(forTimeInterval: Self.pause) }
    }
  }
}
