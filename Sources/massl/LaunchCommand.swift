import ArgumentParser
import Configuration
import Foundation
import Launching
import Services
import Telemetry

/// `massl launch`: a run on the machines of a hosts file, through ssh.
package struct LaunchCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "launch",
    abstract: "Run on several machines that ssh reaches: start, watch, change and stop all of it from here.",
    discussion: """
      Cluster/ssh/README.md goes through it, hosts file included. The program, keys and settings get there by ssh; nothing
      else is needed there, and nothing here once it runs.

        massl launch start hosts.yaml --data pictures --run runs/first --config Recipes/vit_small_imagenet.yaml
        massl launch status hosts.yaml
        massl launch stop hosts.yaml
      """,
    subcommands: [
      Start.self, Status.self, Logs.self, Stop.self, Restart.self, Add.self, Remove.self,
    ])

  package init() {}

  struct Place: ParsableArguments {
    @Argument(help: ArgumentHelp("The hosts file: YAML, a name and a list of machines.", valueName: "hosts.yaml"))
    var file: String

    @Option(help: ArgumentHelp("A configuration of ssh in place of yours, as ssh -F takes it.", valueName: "file"))
    var sshConfig: String?

    func launcher() throws -> Launcher { try Launcher(file: file, configuration: sshConfig) }
  }

  /// Says what went wrong, a line each, and ends the command if anything did.
  static func report(_ errors: [LaunchError]) throws {
    for error in errors { Console.standardError.write(line: "Error: \(error)") }
    if !errors.isEmpty { throw ExitStatus.failed.code }
  }

  /// Does the same on several hosts at once, and shows what each says.
  /// - Returns: what went wrong.
  static func each(
    _ hosts: [ClusterHost], _ body: @escaping @Sendable (ClusterHost) throws(LaunchError) -> String
  ) throws -> [LaunchError] {
    let results = concurrently(hosts) { host -> Result<String, LaunchError> in
      do throws(LaunchError) { return .success(try body(host)) } catch { return .failure(error) }
    }
    var errors: [LaunchError] = []
    for (host, result) in zip(hosts, results) {
      switch result {
      case .success(let words):
        for line in words.split(whereSeparator: \.isNewline) {
          try StandardOutput.write(LaunchText.line(host.name, host.role, String(line)))
        }
      case .failure(let error): errors.append(error)
      }
    }
    return errors
  }
}

// MARK: - Beginning and ending

extension LaunchCommand {
  struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Start a run on all hosts, or what of it does not run. Hosts that fail are named, the others go on.")
    @OptionGroup var place: Place
    @OptionGroup var training: RunOptions
    @OptionGroup var beginning: InitialWeightsOptions
    @OptionGroup var settings: ConfigurationOptions

    func run() throws {
      // What is wrong with the settings is said here, not in a log elsewhere.
      _ = try RunConfiguration(layers: settings.layers())
      let recipe = try settings.config.map { try String(contentsOfFile: $0, encoding: .utf8) }
      let run = RunArguments(
        data: training.data, run: training.run, initialWeights: beginning.initialWeights,
        flags: settings.argumentsWithoutRecipe, hasRecipe: recipe != nil)
      let launcher = try place.launcher()
      let (cluster, own) = (launcher.cluster, try OwnProgram())
      var errors: [LaunchError] = []
      let prepared = concurrently(cluster.hosts) { host -> Result<Launcher.Prepared, LaunchError> in
        do throws(LaunchError) { return .success(try launcher.prepare(host, own)) } catch { return .failure(error) }
      }.compactMap { result -> Launcher.Prepared? in
        switch result {
        case .success(let prepared): return prepared
        case .failure(let error):
          errors.append(error)
          return nil
        }
      }
      guard let coordinator = prepared.first(where: { $0.host.role == .coordinator }) else {
        return try LaunchCommand.report(errors)
      }
      let keys = Dictionary(uniqueKeysWithValues: prepared.map { ($0.host.name, $0.key.publicKey) })
      let allowed = AllowedKeysText(text: coordinator.key.allowedKeys)
        .updated(by: keys, names: cluster.hosts.map(\.name))
      // The coordinator first, for the others ask it what there is to do.
      let others = prepared.filter { $0.host.role != .coordinator }
      for group in [[coordinator], others] {
        errors += try LaunchCommand.each(group.map(\.host)) { host throws(LaunchError) in
          guard let one = group.first(where: { $0.host == host }) else { return "" }
          return try launcher.start(
            one, allowed: allowed, coordinatorKey: coordinator.key.publicKey, run: run, recipe: recipe)
        }
        // Without it nobody has anything to do.
        if errors.contains(where: { $0.host == coordinator.host.name }) { return try LaunchCommand.report(errors) }
      }
      let failed = Set(errors.compactMap(\.host))
      errors += launcher.unheard(cluster.hosts.filter { !failed.contains($0.name) })
      // Who came after the end of a run would wait for another.
      if let status = try? launcher.status(of: cluster.coordinator), status.state == .ended, status.exitCode == 0 {
        try StandardOutput.write("The run is done.")
        errors += try LaunchCommand.each(others.map(\.host)) { host throws(LaunchError) in
          try launcher.remote.run(launcher.service("stop", on: host), on: host)
        }
      }
      try LaunchCommand.report(errors)
    }
  }

  struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End the run after a last checkpoint, then all its processes.")
    @OptionGroup var place: Place

    func run() throws {
      let launcher = try place.launcher()
      let coordinator = launcher.cluster.coordinator
      var errors: [LaunchError] = []
      for group in [[coordinator], launcher.cluster.hosts.filter { $0 != coordinator }] {
        errors += try LaunchCommand.each(group) { host throws(LaunchError) in
          try launcher.remote.run(launcher.service("stop", on: host), on: host)
        }
      }
      if let status = try? launcher.status(of: coordinator), let run = launcher.runStatus(status) {
        try StandardOutput.write(
          "The newest checkpoint is of step \(run.coordination.step) of \(run.coordination.lastStep).")
      }
      try LaunchCommand.report(errors)
    }
  }

  struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stop one host's process, or all, in order, and start it again as it was.")
    @OptionGroup var place: Place

    @Argument(help: ArgumentHelp("The host's name; all without it.", valueName: "host"))
    var name: String?

    func run() throws {
      let launcher = try place.launcher()
      let hosts = try name.map { [try launcher.cluster.host(named: $0, file: launcher.file)] } ?? launcher.cluster.hosts
      let errors = try LaunchCommand.each(hosts) { host throws(LaunchError) in
        _ = try launcher.remote.run(launcher.service("stop", on: host), on: host)
        return try launcher.remote.run(launcher.service("start", on: host), on: host)
      }
      let failed = Set(errors.compactMap(\.host))
      try LaunchCommand.report(errors + launcher.unheard(hosts.filter { !failed.contains($0.name) }))
    }
  }
}

// MARK: - Looking

extension LaunchCommand {
  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show how each host and the run are doing.")
    @OptionGroup var place: Place

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
      let launcher = try place.launcher()
      let hosts = concurrently(launcher.cluster.hosts) { host -> (ClusterStatus.Host, LaunchError?) in
        do throws(LaunchError) {
          return (.init(name: host.name, role: host.role, status: try launcher.status(of: host)), nil)
        } catch {
          return (.init(name: host.name, role: host.role, error: "\(error)"), error)
        }
      }
      let coordinator = hosts.first { $0.0.role == .coordinator }?.0.status
      let status = ClusterStatus(
        cluster: launcher.cluster.name, hosts: hosts.map(\.0), run: coordinator.flatMap(launcher.runStatus))
      if json {
        try StandardOutput.write(json: status.json())
      } else {
        for host in status.hosts {
          if let status = host.status { try StandardOutput.write(LaunchText.line(status)) }
        }
        if let run = status.run { try StandardOutput.write("\n" + StatusText.render(run)) }
      }
      try LaunchCommand.report(hosts.compactMap(\.1))
    }
  }

  struct Logs: EndsInOrder {
    static let configuration = CommandConfiguration(
      abstract: "Show the end of one host's log, or of all, each line with the host's name.")
    @OptionGroup var place: Place

    @Argument(help: ArgumentHelp("The host's name; all without it.", valueName: "host"))
    var name: String?

    @Option(help: ArgumentHelp("Lines from the end, of each.", valueName: "count"))
    var lines = 20

    @Flag(help: "Go on with what comes, until interrupted.")
    var follow = false

    func run() throws {
      let launcher = try place.launcher()
      let signals = Signals()
      let hosts = try name.map { [try launcher.cluster.host(named: $0, file: launcher.file)] } ?? launcher.cluster.hosts
      let arguments = ["--lines", "\(lines)"] + (follow ? ["--follow"] : [])
      let errors = concurrently(hosts) { host -> LaunchError? in
        do throws(LaunchError) {
          let command = launcher.service("logs", arguments, on: host)
          let prefix = hosts.count > 1 ? "\(host.name): " : ""
          try launcher.remote.follow(command, on: host, until: { signals.haveCome }) { line in
            try? StandardOutput.write(prefix + line)
          }
          return nil
        } catch { return error }
      }
      try LaunchCommand.report(errors.compactMap { $0 })
    }
  }
}
