import ArgumentParser
import Checkpoints
import Foundation
import Launching
import Services
import Telemetry

/// `massl service`: a process of a cluster on this machine, kept running.
package struct ServiceCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "service",
    abstract: "Keep a coordinator, worker or shard running on this machine: what 'massl launch' starts on each host.",
    discussion: """
      FOLDER is ~/.massl/CLUSTER/HOST. The process is started again unless it ends with 0, 64 or 65, after a second, then
      two, four, at most 60. It comes back after a reboot where systemd or cron can have that.

        massl service status ~/.massl/first/nodeb
      """,
    subcommands: [
      Start.self, Stop.self, Status.self, Logs.self, Allow.self, Key.self, Forget.self, Run.self,
    ])

  package init() {}

  struct Place: ParsableArguments {
    @Argument(help: ArgumentHelp("The service's folder.", valueName: "folder"))
    var path: String

    var folder: ServiceFolder { ServiceFolder(path) }

    /// - Throws: what `ServiceFolder.description` throws.
    func starter() throws -> ServiceStarter { try ServiceStarter(folder: folder, service: folder.description()) }
  }

  struct Key: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make the service's key pair if there is none, and print its public key and whom it lets in, as JSON.")
    @OptionGroup var place: Place

    func run() throws {
      try StandardOutput.write(json: String(decoding: JSONEncoder.ofService.encode(place.folder.key()), as: UTF8.self))
    }
  }

  struct Allow: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the keys that may connect from standard input.")
    @OptionGroup var place: Place

    func run() throws { try place.folder.write(allowedKeys: standardInput()) }
  }

  struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Start the service, if it does not run as it should.")
    @OptionGroup var place: Place

    @Flag(help: "Take what is to run from standard input, as 'massl launch' writes it.")
    var order = false

    @Flag(help: "As after a reboot: start only what was neither stopped nor had ended.")
    var atBoot = false

    func run() throws {
      let folder = place.folder
      if atBoot, !folder.isWanted { return }
      if order {
        guard let order = try? JSONDecoder().decode(ServiceOrder.self, from: Data(standardInput().utf8)) else {
          throw ValidationError("What came on standard input says no service.")
        }
        try folder.write(order)
      }
      let starter = try place.starter()
      if try folder.supervisor() != nil {
        if folder.state?.service == starter.service {
          return try StandardOutput.write("runs already")
        }
        try starter.stop()
      }
      try folder.setWanted(true)
      try StandardOutput.write("started, \(starter.start(atBoot: atBoot))")
    }
  }

  struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Stop the service in order, and wait for its end.")
    @OptionGroup var place: Place

    func run() throws {
      let starter = try place.starter()
      try place.folder.setWanted(false)
      try starter.stop()
      try StandardOutput.write("stopped")
    }
  }

  struct Forget: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stop the service, and have nothing bring it back. Its files stay.")
    @OptionGroup var place: Place

    func run() throws {
      let starter = try place.starter()
      try place.folder.setWanted(false)
      try starter.stop()
      starter.forget()
      try StandardOutput.write("stopped, and forgotten by systemd and cron")
    }
  }

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show how the service is doing.")
    @OptionGroup var place: Place

    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
      let status = try HostStatus(of: place.folder)
      if json {
        return try StandardOutput.write(json: status.json())
      }
      try StandardOutput.write(LaunchText.line(status))
    }
  }

  struct Logs: EndsInOrder {
    static let configuration = CommandConfiguration(abstract: "Show the end of the service's log.")
    @OptionGroup var place: Place

    @Option(help: ArgumentHelp("Lines from the end.", valueName: "count"))
    var lines = 20

    @Flag(help: "Go on with what comes.")
    var follow = false

    private static let pause = 0.2

    func run() throws {
      // Through ssh, the end of that is the parent's end.
      let signals = Signals(withParent: true)
      var log = FollowedFile(place.folder.logPath, lastLines: lines)
      repeat {
        for line in log.newLines() { try StandardOutput.write(line) }
        if follow { Thread.sleep(forTimeInterval: Self.pause) }
      } while follow && !signals.haveCome
    }
  }

  struct Run: EndsInOrder {
    static let configuration = CommandConfiguration(
      abstract: "Keep the service running from this process, until it ends: what systemd, or 'start', runs.")
    @OptionGroup var place: Place

    func run() throws {
      let keeper = ServiceKeeper(
        folder: place.folder, log: ProcessLog(ServiceKeeper.label, level: .info, console: .nowhere))
      throw try keeper.run(Signals()).code
    }
  }
}

/// All of it, at most a mebibyte: nobody sends more.
private func standardInput() throws -> String {
  let bytes = try FileHandle.standardInput.read(upToCount: 1 << 20) ?? Data()
  return String(decoding: bytes, as: UTF8.self)
}

extension HostStatus {
  /// As the service's folder, and the processes of this machine, say it.
  init(of folder: ServiceFolder) throws {
    let service = try folder.description()
    let state = folder.state
    let supervisor = try folder.supervisor()
    let isRunning = supervisor != nil && state?.process != nil
    let now: State =
      if supervisor != nil {
        isRunning ? .running : .restarting
      } else if state?.exitCode != nil, !folder.isWanted {
        .ended
      } else {
        folder.isWanted ? .down : .stopped
      }
    var log = FollowedFile(folder.logPath, lastLines: ServiceKeeper.linesAtMost)
    let command =
      service.role == .coordinator ? try? CoordinatorCommand.parse(Array(service.arguments.dropFirst())) : nil
    self.init(
      name: service.name, role: service.role, state: now, process: isRunning ? state?.process : nil,
      starts: state?.starts ?? 0, lastEnd: state?.lastEnd, exitCode: now == .ended ? state?.exitCode : nil,
      version: Version.line, run: command?.place.run, publicKey: try? folder.key().publicKey,
      log: ServiceKeeper.said(in: log.newLines(), hasEnded: now == .ended))
  }
}
