import ArgumentParser
import Foundation
import Services
import Telemetry
import Threads
import Watching

/// `massl notify`: a command is run for what people want to be told of.
package struct NotifyCommand: EndsInOrder {
  package static let configuration = CommandConfiguration(
    commandName: "notify",
    abstract: "Watch a run, and run a command when it finishes, ends, collapses, or lacks workers, rows or room.",
    discussion: """
      The command gets the event as one JSON object on standard input, and as variables: MASSL_EVENT, MASSL_IS_OVER,
      MASSL_MESSAGE, MASSL_RUN, MASSL_HOST, MASSL_STEP, MASSL_LAST_STEP. It has 30 s; one runs after the other.

        massl notify --run runs/first --on-event 'mail -s "massl: $MASSL_EVENT" me@example.org'
        massl notify --run runs/first --on-event 'curl -sf --json @- https://example.org/hook'
      """)

  @Option(name: .customLong("run"), help: ArgumentHelp("Run directory.", valueName: "folder"))
  package var runDirectory: String

  @Option(help: ArgumentHelp("What the shell runs for each event.", valueName: "command"))
  package var onEvent: String

  @Option(help: EventOptions.minutesHelp)
  package var noWorkerMinutes = EventOptions.minutes

  @OptionGroup package var security: PeerSecurityOptions

  /// How the run ends comes on standard input, and before that there is no end.
  @Flag(help: .hidden)
  package var beside = false

  package init() {}

  package func validate() throws { try EventOptions.check(onEvent, minutes: noWorkerMinutes) }

  /// From one look to the next, in seconds.
  private static let pause = 1.0

  package func run() throws {
    Niceness.watching.take()
    let log = ProcessLog("notify", level: .info)
    let signals = Signals()
    let end = beside ? RunEnding() : nil
    // Beside a run it stays until that has ended, whoever is asked to leave: its end is what is told.
    if !beside { signals.tell { _ in ExitStatus.done.leave() } }
    let watcher = RunWatcher(run: runDirectory) { [security] in try security.security(for: $0) }
    watcher.start()
    let teller = EventTeller(onEvent, run: runDirectory, log: log.line)
    var events = RunEvents(noWorkers: .seconds(60 * noWorkerMinutes))
    while true {
      var ended = end?.end
      if ended != nil { watcher.lookOnce() }
      let (run, room) = (watcher.observation, watcher.room)
      for event in events.take(run, room: room, at: .now) { teller.tell(event) }
      // Nobody says how a run ended that this one is not beside; one that is done needs nobody to.
      if !beside, Verdict(of: run).state == .finished { ended = .code(0, nil) }
      if let ended {
        for event in events.end(ended.explained(by: watcher.lastError), run) { teller.tell(event) }
        return teller.finish()
      }
      let next = Date() + Self.pause
      while Date() < next, end?.end == nil { Thread.sleep(forTimeInterval: 0.05) }
    }
  }
}
