import Coordination
import Services
import Telemetry

/// What there is to tell of a run, from looks at it: each thing once when it begins, and once when it is over.
///
///     var events = RunEvents(noWorkers: .seconds(600))
///     for event in events.take(observation, room: room, at: .now) { ... }       // every second or so
///     for event in events.end(.code(65, "why"), observation) { ... }            // where its end is known
public struct RunEvents: Sendable {
  /// Bytes of the run directory's disk.
  public struct Room: Sendable, Equatable {
    public var free: Int
    /// Below that it is nearly full.
    public var needed: Int

    public init(free: Int, needed: Int) {
      self.free = free
      self.needed = needed
    }
  }

  /// What is known of the end of the process that kept a run going.
  public enum End: Sendable, Equatable {
    /// Its exit code, and why, if it said so.
    case code(Int, String?)
    /// It was killed.
    case withoutWord

    /// With a reason that was found elsewhere, if it is an error that said none.
    public func explained(by reason: String?) -> End {
      if case .code(let code, nil) = self, code != 0 { .code(code, reason) } else { self }
    }
  }

  /// A coordinator that is started again is away for a while.
  static let silence = Duration.seconds(60)
  /// A disk that was nearly full is no more once it has so much more room: sizes go up and down with each checkpoint.
  private static let relief = 1.25

  private let noWorkersPatience: Duration
  /// What goes on, with since when it does; told once it has lasted for long enough.
  private var lasting: [RunEvent.Kind: (since: ContinuousClock.Instant, isTold: Bool)] = [:]
  /// Hosts that are known to be in quarantine; nil before the first look.
  private var quarantined: Set<String>?
  /// Whether the run was seen to go on, so that its end is news; and whether its end was told.
  private var hasBegun = false
  private var hasEnded = false

  /// - Parameter noWorkers: a run without workers is told of after so long.
  public init(noWorkers: Duration) { noWorkersPatience = noWorkers }

  /// - Parameter room: nil where it cannot be told.
  public mutating func take(
    _ run: Observation, room: Room?, at now: ContinuousClock.Instant
  ) -> [RunEvent] {
    let verdict = Verdict(of: run)
    var events: [RunEvent] = []

    // 1. What lasts.
    if run.isHeard, let status = run.status {
      note(.collapsing, status.warning, over: "The run no longer seems to collapse.", at: now, run, &events)
      let rows = status.coordination.memoryShards?.waiting
      note(.rowsLost, rows, over: "All rows are there again.", at: now, run, &events)
      let isIdle = status.coordination.connectedWorkers.isEmpty && status.coordination.phase == "computing"
      note(
        .noWorkers,
        isIdle ? "No worker has been connected for \(words(noWorkersPatience)). \(verdict.text)" : nil,
        over: "Workers are connected again.", after: noWorkersPatience, at: now, run, &events)
      let isStalled = verdict.state == .stalled && !isIdle && rows == nil
      note(.stalled, isStalled ? verdict.text : nil, over: "Steps are done again.", at: now, run, &events)
    }
    note(
      .coordinatorSilent, verdict.state == .silent ? verdict.text : nil, over: "The coordinator answers again.",
      after: Self.silence, at: now, run, &events)
    if let room { note(room, at: now, run, &events) }

    // 2. What happens.
    events += newlyQuarantined(run)
    switch verdict.state {
    case .finished where hasBegun && !hasEnded:
      hasEnded = true
      events.append(event(.finished, verdict.text, run))
    case .stopped where hasBegun && !hasEnded:
      hasEnded = true
      events.append(event(.stopped, verdict.text, run))
    case .well, .young, .collapsing, .stalled: (hasBegun, hasEnded) = (true, false)
    default: break
    }
    return events
  }

  /// What there is to tell at the end of the process that kept the run going.
  public mutating func end(_ end: End, _ run: Observation) -> [RunEvent] {
    let status = run.status?.coordination
    let isDone = status.map { $0.step >= $0.lastStep && $0.phase != "leaving" } ?? false
    let told = hasEnded
    hasEnded = true
    switch end {
    case .code(0, _) where isDone: return told ? [] : [event(.finished, Verdict(of: run).text, run)]
    case .code(0, _):
      return told ? [] : [event(.stopped, "The run was stopped before its last step. The same command goes on.", run)]
    case .code(let code, let why):
      let why = why.map { ": \($0)" } ?? "."
      return [event(.failed, "The run ended with exit code \(code)\(why)", run)]
    case .withoutWord:
      return [
        event(
          .failed,
          "The process that keeps the run going was killed. The same command resumes from the newest checkpoint.",
          run)
      ]
    }
  }
}

// MARK: - What lasts

extension RunEvents {
  /// - Parameters:
  ///   - message: nil when it does not go on.
  ///   - patience: told only once it has lasted so long.
  private mutating func note(
    _ kind: RunEvent.Kind, _ message: String?, over: String, after patience: Duration = .zero,
    at now: ContinuousClock.Instant, _ run: Observation, _ events: inout [RunEvent]
  ) {
    guard let message else {
      if lasting.removeValue(forKey: kind)?.isTold ?? false { events.append(event(kind, isOver: true, over, run)) }
      return
    }
    let (since, isTold) = lasting[kind] ?? (now, false)
    let isDue = now - since >= patience
    lasting[kind] = (since, isTold || isDue)
    if isDue, !isTold { events.append(event(kind, message, run)) }
  }

  private mutating func note(
    _ room: Room, at now: ContinuousClock.Instant, _ run: Observation, _ events: inout [RunEvent]
  ) {
    let needed = lasting[.diskNearlyFull] == nil ? Double(room.needed) : Double(room.needed) * Self.relief
    note(
      .diskNearlyFull,
      Double(room.free) < needed
        ? "The run's disk has \(Self.bytes(room.free)) left; below \(Self.bytes(room.needed)) checkpoints and memory rows "
          + "may soon find no room." : nil,
      over: "The run's disk has \(Self.bytes(room.free)) left.", at: now, run, &events)
  }

  private static func bytes(_ count: Int) -> String {
    count >= 10 << 30 ? "\(count >> 30) GiB" : "\(count >> 20) MiB"
  }
}

// MARK: - What happens

extension RunEvents {
  private mutating func newlyQuarantined(_ run: Observation) -> [RunEvent] {
    guard let status = run.status else { return [] }
    let hosts = status.coordination.quarantined
    defer { quarantined = Set(hosts.map(\.host)) }
    guard let known = quarantined else { return [] }
    return hosts.filter { !known.contains($0.host) }.map {
      event(
        .hostQuarantined, "Host '\($0.host)' computed step \($0.step) wrongly; its workers are refused from now on.",
        run)
    }
  }

  private func event(_ kind: RunEvent.Kind, isOver: Bool = false, _ message: String, _ run: Observation) -> RunEvent {
    RunEvent(
      kind, isOver: isOver, message, step: run.status?.coordination.step, lastStep: run.status?.coordination.lastStep)
  }

  private func words(_ time: Duration) -> String { ProgressLine.duration(time / .seconds(1)) }
}
