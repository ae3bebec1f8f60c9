import ArgumentParser
import Checkpoints
import Durability
import Foundation
import Messages
import Runs
import Services
import Telemetry
import Watching
import Wire

/// `massl status`: how a run is doing.
package struct StatusCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show step, loss, rate, time left, workers, memory, and the digests of a run.",
    discussion: """
      With --run it works whether or not the coordinator is running; with --coordinator it asks it. With --watch it fills a
      terminal, and goes on until q or Ctrl-C; elsewhere, or with --json, it writes the status again and again.
      """)

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp("Run directory.", valueName: "folder"))
  package var runDirectory: String?

  @Option(help: ArgumentHelp("A running coordinator: tcp://HOST:PORT.", valueName: "address"))
  package var coordinator: String?

  @Flag(help: "Keep showing it, on a terminal in full screen, until interrupted.")
  package var watch = false

  @Flag(help: "One JSON object on a line of standard output.")
  package var json = false

  @OptionGroup package var security: PeerSecurityOptions

  package init() {}

  /// For an answer from a coordinator that may be busy, or behind a slow network.
  private static let patience = Duration.seconds(5)
  private static let watchPause = 2.0
  private static let screenPause = 1.0

  package func validate() throws {
    if (runDirectory == nil) == (coordinator == nil) { throw ValidationError("Give either --run or --coordinator.") }
  }

  package func run() throws {
    if watch, !json {
      // Whom it cannot ask it says before it takes the screen.
      let watcher = try watcher()
      if let screen = TerminalScreen() { return fill(screen, from: watcher) }
    }
    try showOnce()
    while watch {
      Thread.sleep(forTimeInterval: Self.watchPause)
      // A coordinator that is away for a while is what one watches for.
      do {
        try showOnce()
      } catch let error as OutputError {
        throw error
      } catch {
        Console.standardError.write(line: "\(error)")
      }
    }
  }

  private func watcher() throws -> RunWatcher {
    let keys: @Sendable (Endpoint) throws -> Security<ClientKeys> = { [security] in try security.security(for: $0) }
    guard let coordinator else {
      let run = runDirectory ?? ""
      guard try FileStorage().exists(run) else { throw CheckpointError.notARun(directory: run) }
      return RunWatcher(run: run, security: keys)
    }
    let endpoint = try Endpoint(coordinator)
    _ = try keys(endpoint)
    return RunWatcher(coordinator: endpoint, security: keys)
  }

  private func fill(_ screen: TerminalScreen, from watcher: RunWatcher) {
    defer { screen.restore() }
    watcher.start()
    repeat {
      watcher.touch()
      let size = screen.size
      let name = runDirectory ?? coordinator ?? ""
      screen.show(
        watcher.screen(named: name, isUnicode: screen.isUnicode).lines(columns: size.columns, rows: size.rows))
    } while screen.wait(seconds: Self.screenPause) != .leave
  }

  private func showOnce() throws {
    let status = try status()
    if json {
      try StandardOutput.write(json: status.json())
    } else {
      // A blank line parts what is watched.
      try StandardOutput.write(StatusText.render(status) + (watch ? "\n" : ""))
    }
  }

  private func status() throws -> RunStatus {
    if let coordinator {
      switch try ask(Endpoint(coordinator)) {
      case .status(let status): return status
      case .none(let reason): throw reason ?? ServiceError.noAnswer(coordinator: coordinator)
      }
    }
    let run = runDirectory ?? ""
    if let named = try NamedCoordinator(ofRunAt: run) {
      switch try named.ask(security.security(for: named.endpoint), patience: Self.patience) {
      case .status(let status): return status
      case .none(let reason):
        let why = reason.map { ": \($0)" } ?? "."
        Console.standardError.write(
          line: "The coordinator that \(NamedCoordinator.path(ofRunAt: run)) names, \(named.address), does not "
            + "answer\(why) This is the newest checkpoint.")
      }
    }
    return try RunStatus(ofStoppedRunAt: run, in: FileStorage())
  }

  private func ask(_ endpoint: Endpoint) throws -> StatusInquiry.Answer {
    try StatusInquiry(of: endpoint, security: security.security(for: endpoint)).ask(patience: Self.patience)
  }
}
