import Foundation
import Services
import Synchronization
import TestSupport
import Testing
import Watching

@Suite("What people are told of a run")
struct RunEventsTests {
  private static let begin = ContinuousClock.now

  private func observed(
    _ status: RunStatus?, heard: Duration? = .seconds(1), isCoordinated: Bool = true, sinceStep: Duration = .seconds(1)
  ) -> Observation {
    Observation(
      status: status, source: heard.map { .coordinator(heard: $0) } ?? .checkpoint, isCoordinated: isCoordinated,
      sinceStep: sinceStep, usualStep: .seconds(1))
  }

  /// Looks at a run at some seconds, and what each look had to tell: "collapsing", "collapsing over".
  private func told(
    _ looks: [(Int, Observation)], room: RunEvents.Room? = nil, noWorkers: Int = 600
  ) -> [[String]] {
    var events = RunEvents(noWorkers: .seconds(noWorkers))
    return looks.map { seconds, run in
      events.take(run, room: room, at: Self.begin + .seconds(seconds))
        .map { $0.kind.rawValue + ($0.isOver ? " over" : "") }
    }
  }

  @Test func aHealthyRunHasNothingToTellUntilItIsDone() throws {
    let done = try observed(status(step: 1000))
    #expect(
      try told([(0, observed(status())), (1, observed(status())), (2, done), (3, done)]) == [[], [], ["finished"], []])
  }

  @Test func collapseIsToldOnceAndWhenItIsOver() throws {
    let collapsing = try observed(status(warning: "it seems to collapse"))
    let looks = try [
      (0, observed(status())), (1, collapsing), (2, collapsing), (3, observed(status())), (4, collapsing),
    ]
    #expect(told(looks) == [[], ["collapsing"], [], ["collapsing over"], ["collapsing"]])
  }

  @Test func aRunWithoutWorkersIsToldOfAfterAWhileOnly() throws {
    let alone = try observed(status(workers: ""))
    let well = try observed(status())
    #expect(
      told([(0, alone), (599, alone), (600, alone), (601, alone), (700, well)])
        == [[], [], ["no_workers"], [], ["no_workers over"]])
    #expect(told([(0, alone), (500, well), (501, alone), (1100, alone)]) == [[], [], [], []])
    #expect(told([(0, alone), (60, alone)], noWorkers: 30) == [[], ["no_workers"]])
    let killed = try observed(status(workers: worker(isConnected: false)))
    #expect(told([(0, killed), (20, killed), (30, alone)], noWorkers: 30) == [[], [], ["no_workers"]])
  }

  @Test func aCoordinatorThatIsStartedAgainIsNotTakenForSilent() throws {
    let silent = try observed(status(), heard: .seconds(20))
    let well = try observed(status())
    #expect(
      told([(0, well), (20, silent), (79, silent), (80, silent), (81, well)])
        == [[], [], [], ["coordinator_silent"], ["coordinator_silent over"]])
    #expect(told([(0, well), (20, silent), (40, well), (90, silent)]) == [[], [], [], []])
  }

  @Test func whatASilentCoordinatorSaidLastEndsNothing() throws {
    let collapsing = try observed(status(warning: "so"))
    let silent = try observed(status(), heard: .seconds(20))
    #expect(told([(0, collapsing), (1, silent), (2, collapsing)]) == [["collapsing"], [], []])
  }

  @Test func aStepThatTakesTooLongIsStalled() throws {
    let slow = try observed(status(), sinceStep: .seconds(90))
    #expect(try told([(0, slow), (1, slow), (2, observed(status()))]) == [["stalled"], [], ["stalled over"]])
  }

  @Test func aRunThatIsStoppedIsToldOfIfItWasSeenToGoOn() throws {
    let stopped = try observed(status(), heard: nil, isCoordinated: false)
    let well = try observed(status())
    #expect(told([(0, stopped), (1, stopped)]) == [[], []])
    #expect(
      told([(0, well), (1, stopped), (2, stopped), (3, well), (4, stopped)]) == [[], ["stopped"], [], [], ["stopped"]])
    #expect(told([(0, observed(nil))]) == [[]])
    // One that was done before anybody looked is no news.
    #expect(try told([(0, observed(status(step: 1000)))]) == [[]])
  }

  @Test func aDiskIsNearlyFullUntilItHasSomeMoreRoom() throws {
    var events = RunEvents(noWorkers: .seconds(600))
    let well = try observed(status())
    let told = [5000, 999, 1001, 1200, 1251, 999].map { free in
      events.take(well, room: .init(free: free << 20, needed: 1000 << 20), at: Self.begin)
        .map { $0.kind.rawValue + ($0.isOver ? " over" : "") }
    }
    #expect(told == [[], ["disk_nearly_full"], [], [], ["disk_nearly_full over"], ["disk_nearly_full"]])
  }

  @Test func aHostInQuarantineIsToldOnceAndNotThoseOfBefore() throws {
    func quarantine(_ hosts: String...) throws -> Observation {
      var status = try status()
      status.coordination.quarantined = hosts.map {
        .init(host: $0, worker: "w", step: 7, firstSlice: 0, slices: 1)
      }
      return observed(status)
    }
    #expect(
      try told([
        (0, quarantine("old")), (1, quarantine("old")), (2, quarantine("old", "new")), (3, quarantine("old", "new")),
      ])
        == [[], [], ["host_quarantined"], []])
  }

  @Test func theEndIsToldAsTheProcessSaysIt() throws {
    func end(_ end: RunEvents.End, _ run: Observation) -> [RunEvent] {
      var events = RunEvents(noWorkers: .seconds(600))
      return events.end(end, run)
    }
    let (half, done) = (try observed(status()), try observed(status(step: 1000)))
    #expect(end(.code(0, nil), done).map(\.kind) == [.finished])
    #expect(end(.code(0, nil), half).map(\.kind) == [.stopped])
    #expect(
      end(.code(65, "rows are lost"), half) == [
        RunEvent(.failed, "The run ended with exit code 65: rows are lost", step: 500, lastStep: 1000)
      ])
    #expect(end(.withoutWord, half).map(\.kind) == [.failed])
    // Not twice.
    var events = RunEvents(noWorkers: .seconds(600))
    #expect(events.take(half, room: nil, at: Self.begin).isEmpty)
    #expect(events.take(done, room: nil, at: Self.begin).map(\.kind) == [.finished])
    #expect(events.end(.code(0, nil), done).isEmpty)
    #expect(RunEvents.End.code(1, nil).explained(by: "x") == .code(1, "x"))
    #expect(RunEvents.End.code(0, nil).explained(by: "x") == .code(0, nil))
    #expect(RunEvents.End.code(1, "a").explained(by: "x") == .code(1, "a"))
  }

  @Test func anEventIsOneLineOfJSONWhateverNamesHold() throws {
    let event = RunEvent(.hostQuarantined, "Host 'a\u{1b}[2J\n\"b'", step: 3, lastStep: 9)
    let json = event.json(run: "/runs/a\nb", host: "h", at: 1.5)
    #expect(!json.contains("\n") && !json.contains("\u{1b}"))
    let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(object["event"] as? String == "host_quarantined")
    #expect(object["is_over"] as? Bool == false)
    #expect(object["step"] as? Int == 3 && object["last_step"] as? Int == 9)
    #expect(object["message"] as? String == event.message)
    #expect(event.variables(run: "r", host: "h")["MASSL_STEP"] == "3")
    #expect(RunEvent(.failed, "so").json(run: "r", host: "h", at: 0).contains("\"step\":null"))
  }
}

@Suite("Commands for events are run one by one, and nobody waits")
struct EventTellerTests {
  private final class Log: Sendable {
    private let found = Mutex<[String]>([])
    var lines: [String] { found.withLock { $0 } }
    func add(_ line: String) { found.withLock { $0.append(line) } }
  }

  private func tell(_ command: String, _ events: [RunEvent], patience: Double = 600) -> [String] {
    let log = Log()
    let teller = EventTeller(command, run: "r", patience: patience) { log.add($1) }
    for event in events { teller.tell(event) }
    teller.finish()
    return log.lines
  }

  @Test func eachEventIsToldInOrder() throws {
    try withTemporaryDirectory { folder in
      let lines = tell(
        "cat >> '\(folder)/told'; echo \"$MASSL_EVENT $MASSL_IS_OVER\" >> '\(folder)/names'",
        [RunEvent(.collapsing, "so"), RunEvent(.collapsing, isOver: true, "no more"), RunEvent(.finished, "done")])
      #expect(lines == ["collapsing: so", "collapsing: no more", "finished: done"])
      let names = try String(contentsOfFile: folder + "/names", encoding: .utf8)
      #expect(names == "collapsing 0\ncollapsing 1\nfinished 0\n")
      let told = try String(contentsOfFile: folder + "/told", encoding: .utf8).split(separator: "\n")
      #expect(told.count == 3 && told.allSatisfy { $0.hasPrefix("{\"event\":") })
    }
  }

  @Test func aCommandThatFailsOrHangsIsOneLine() {
    #expect(
      tell("echo 'no \u{1b}route' >&2; exit 7", [RunEvent(.failed, "so")]).last
        == "The command for 'failed' failed with exit code 7: no \u{1b}route")
    #expect(
      tell("sleep 600", [RunEvent(.failed, "so")], patience: 1).last
        == "The command for 'failed' took longer than 1 s, and was ended.")
  }

  @Test func eventsBeyondThoseThatWaitAreDroppedWithAWord() throws {
    try withTemporaryDirectory { folder in
      // The first waits for a file, which comes once all others were told.
      let log = Log()
      let teller = EventTeller("while ! [ -e '\(folder)/go' ]; do sleep 0.05; done", run: "r", patience: 600) {
        log.add($1)
      }
      for _ in 0..<70 { teller.tell(RunEvent(.stalled, "so")) }
      #expect(log.lines.contains { $0.contains("is told to nobody") })
      try Data().write(to: URL(fileURLWithPath: folder + "/go"))
      teller.finish()
      #expect(log.lines.count { $0 == "stalled: so" } == 70)
    }
  }
}
