import ArgumentParser
import Configuration
import Coordination
import Foundation
import Messages
import Services
import Telemetry

/// `massl memory`: a shard of the run's memory, and what there is of them.
package struct MemoryCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "memory",
    abstract: "Hold a part of the run's memory, so that it can outgrow the coordinator's disk.",
    discussion: """
      Whole files of the memory (65,536 rows or so) move to shards, each to memory_replicas of them. A shard may be killed
      and started again with its directory at any time; it may join a running run, and leave it by 'massl memory drain'.

        massl memory --coordinator tcp://10.0.0.1:5570 --capacity 64GiB --directory /data/massl
        massl memory list --coordinator tcp://10.0.0.1:5570
      """,
    subcommands: [Serve.self, List.self, Drain.self], defaultSubcommand: Serve.self)

  package init() {}

  struct Serve: EndsInOrder {
    static let configuration = CommandConfiguration(
      commandName: "serve", abstract: "Serve a part of the memory; what 'massl memory' does without another word.")

    @Option(
      help: ArgumentHelp(
        "The coordinator: tcp://HOST:PORT, or a file with an address a line, which may change. May be given several times.",
        valueName: "address"))
    var coordinator: [String]

    @Option(help: ArgumentHelp("Bytes of disk that it offers: 512MiB, 64GiB.", valueName: "bytes"))
    var capacity: ByteCount

    @Option(help: ArgumentHelp("Where its rows are kept, of this shard alone.", valueName: "folder"))
    var directory: String

    @Option(help: ArgumentHelp("Where it serves rows; port 0 for any free one.", valueName: "address"))
    var listen = "tcp://127.0.0.1:0"

    @Option(
      help: ArgumentHelp(
        "Where others reach it, if that is not where it listens; port 0 for the one that it took.", valueName: "address"
      ))
    var advertise: String?

    @Option(
      help: ArgumentHelp("This machine: replicas go to different ones. (default: its host name)", valueName: "name"))
    var host: String?

    @OptionGroup var security: PeerSecurityOptions

    @Option(
      help: ArgumentHelp(
        "Public keys that may ask for rows, one a line, read again when it changes; with --key.", valueName: "file"))
    var allowedKeys: String?

    @Option(help: "Least severe message in the log.")
    var logLevel: LogLevelName = .info

    @Flag(help: .hidden)
    var stopWithParent = false

    func validate() throws {
      if capacity.bytes < 1 { throw ValidationError("--capacity must be at least a byte.") }
      if capacity.bytes >= WireLimits.offset {
        throw ValidationError("--capacity must be below 256TiB. Start more shards where there is more room.")
      }
      if (allowedKeys == nil) != (security.key == nil) {
        throw ValidationError("--key and --allowed-keys go together: who this shard is, and who may ask it.")
      }
    }

    func run() throws {
      try DescriptorLimit.check(for: "A memory shard")
      let search = try CoordinatorSearch(coordinator) { [security] in try security.security(for: $0) }
      let log = ProcessLog("memory", level: logLevel)
      let signals = Signals(withParent: stopWithParent)
      let listen = try Endpoint(listen)
      let serving = try listeningSecurity(
        for: listen, key: security.key, allowedKeys: allowedKeys, insecure: security.insecure, log: log.line)
      let manager = ServiceManager.ofThisProcess(isChild: stopWithParent, log: log.line)
      // It is up though nobody may answer yet: what waits for a shard's start would wait for the coordinator's.
      manager?.tell(.ready, .status("Looks for a coordinator at \(search)."))
      let isToStop = {
        manager?.beat()
        return signals.haveCome
      }
      while let found = try search.find(until: isToStop, log: log.line) {
        let service = try MemoryService(
          MemoryOptions(
            coordinator: found.endpoint, directory: directory, capacity: capacity.bytes, listen: listen,
            advertised: advertise.map { try Endpoint($0) }, name: host ?? ProcessInfo.processInfo.hostName,
            security: found.security, serving: serving, givesUpAfter: search.mayMove ? .seconds(10) : nil),
          log: log.line)
        log.line(.info, "Serves rows at \(service.endpoint), shard \(service.shard).")
        manager?.tell(.status("Serves rows at \(service.endpoint)."))
        signals.tell { _ in
          manager?.tell(.stopping)
          service.requestStop()
        }
        let outcome = try service.run { manager?.beat() }
        if outcome == .stopped { log.line(.info, "Stopped as asked. Its rows stay in \(directory).") }
        if outcome != .silent { return }
        manager?.tell(.status("Looks for a coordinator at \(search)."))
      }
      if signals.haveCome { log.line(.info, "Stopped as asked, before a coordinator was found.") }
    }
  }

  /// A coordinator that is asked something.
  struct Asked: ParsableArguments {
    @Option(help: ArgumentHelp("A running coordinator: tcp://HOST:PORT.", valueName: "address"))
    var coordinator: String

    @OptionGroup var security: PeerSecurityOptions

    /// For an answer from a coordinator that may be busy, or behind a slow network.
    static let patience = Duration.seconds(5)

    func inquiry() throws -> MemoryInquiry {
      let endpoint = try Endpoint(coordinator)
      return try MemoryInquiry(of: endpoint, security: security.security(for: endpoint))
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show shards, extents, replicas, bytes and rates of a run's memory.")
    @OptionGroup var asked: Asked
    @Flag(help: "One JSON object on standard output.")
    var json = false

    func run() throws {
      guard let text = try asked.inquiry().list(patience: Asked.patience) else {
        throw ServiceError.noAnswer(coordinator: asked.coordinator)
      }
      if json { return try StandardOutput.write(json: text) }
      guard let status = MemoryStatus(json: text) else {
        throw ServiceError.unreadableStatus(coordinator: asked.coordinator)
      }
      try StandardOutput.write(MemoryText.render(status))
    }
  }

  struct Drain: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Empty a shard and send it away: its extents are copied elsewhere first.")
    @Argument(
      help: ArgumentHelp("The shard: its name, or its identity as 'massl memory list' shows it.", valueName: "shard"))
    var shard: String
    @OptionGroup var asked: Asked
    @Flag(help: "Call a drain off: the shard stays, and takes extents again.")
    var cancel = false

    func run() throws {
      let inquiry = try asked.inquiry()
      let answer =
        cancel
        ? try inquiry.cancelDrain(of: shard, patience: Asked.patience)
        : try inquiry.drain(shard, patience: Asked.patience)
      guard let (isAccepted, text) = answer else {
        throw ServiceError.noAnswer(coordinator: asked.coordinator)
      }
      guard isAccepted else {
        Console.standardError.write(line: "Error: \(text)")
        throw ExitStatus.usage.code
      }
      try StandardOutput.write(text)
    }
  }
}
