import Checkpoints
import Durability
import Foundation
import Messages
import Runs
import Services
import Synchronization
import Telemetry
import Threads
import Wire

/// Watches a run: asks its coordinator and follows its files, in two threads, whether or not somebody looks.
///
///     let watcher = RunWatcher(run: "runs/first") { endpoint in ... }     // or (coordinator: endpoint), without files
///     watcher.start()
///     watcher.observation        // at once, of a second ago
public final class RunWatcher: Sendable {
  /// Between two looks while somebody watches, and else.
  private static let pause = Duration.seconds(1)
  private static let idlePause = Duration.seconds(5)
  /// After a look at the page somebody is taken to watch for so long: Prometheus asks every 15 s.
  private static let watched = Duration.seconds(20)
  /// For the coordinator's answer.
  private static let patience = Duration.seconds(3)
  /// Steps whose median is the usual time of one.
  private static let usualSteps = 64

  private struct Seen: Sendable {
    var status: RunStatus?
    /// When the coordinator said so; nil where it is the newest checkpoint's.
    var heard: ContinuousClock.Instant?
    var isCoordinated = false
    var problem: String?
    var sinceStep: ContinuousClock.Instant?
    var record: MetricsRecord?
    /// Of a coordinator whose files are elsewhere: losses as they were heard.
    var losses = History()
    var usualStep: Duration?
    var checkpoints: [RunFiles.Checkpoint] = []
    var log: [String] = []
    var blockSize: Int?
    var lookedAt = ContinuousClock.now
  }

  /// The run directory; nil of a coordinator whose files are elsewhere.
  let run: String?
  private let endpoint: Endpoint?
  private let files: RunFiles?
  private let security: @Sendable (Endpoint) throws -> Security<ClientKeys>
  private let seen = Mutex(Seen())
  private let metrics: Mutex<MetricsFollower>
  private let evaluations: Mutex<MetricsFollower>

  /// - Parameters:
  ///   - run: the run directory.
  ///   - security: what a coordinator is talked to with.
  public convenience init(run: String, security: @escaping @Sendable (Endpoint) throws -> Security<ClientKeys>) {
    self.init(run: run, endpoint: nil, security: security)
  }

  /// - Parameters:
  ///   - coordinator: the only one that is asked, and for nothing but its status.
  ///   - security: what it is talked to with.
  public convenience init(
    coordinator: Endpoint, security: @escaping @Sendable (Endpoint) throws -> Security<ClientKeys>
  ) {
    self.init(run: nil, endpoint: coordinator, security: security)
  }

  private init(
    run: String?, endpoint: Endpoint?, security: @escaping @Sendable (Endpoint) throws -> Security<ClientKeys>
  ) {
    self.run = run
    self.endpoint = endpoint
    self.security = security
    files = run.map { RunFiles(run: $0) }
    metrics = Mutex(MetricsFollower(path: "\(run ?? "")/metrics.jsonl"))
    evaluations = Mutex(MetricsFollower(path: "\(run ?? "")/evaluations.jsonl"))
  }

  /// Has a first look, so that whoever asks next sees something, and goes on in threads of its own.
  public func start() {
    if let files { follow(files) }
    startThread(named: "massl-ask") { [self] in
      var asked = Asked()
      while true {
        ask(&asked)
        wait()
      }
    }
  }

  private func follow(_ files: RunFiles) {
    _ = metrics.withLock { $0.advance() }
    _ = evaluations.withLock { $0.advance() }
    look(at: files)
    startThread(named: "massl-files") { [self] in
      while true {
        while metrics.withLock({ $0.advance() }) {}
        while evaluations.withLock({ $0.advance() }) {}
        look(at: files)
        wait()
      }
    }
  }

  /// A look at once: of a run that has just ended.
  package func lookOnce() {
    while metrics.withLock({ $0.advance() }) {}
    while evaluations.withLock({ $0.advance() }) {}
    if let files { look(at: files) }
    var asked = Asked()
    ask(&asked)
  }

  /// Somebody looks: figures are to be of now.
  package func touch() { seen.withLock { $0.lookedAt = .now } }

  private func wait() {
    let start = ContinuousClock.now
    while true {
      let isWatched = seen.withLock { ContinuousClock.now - $0.lookedAt < Self.watched }
      if ContinuousClock.now - start >= (isWatched ? Self.pause : Self.idlePause) { return }
      Thread.sleep(forTimeInterval: 0.2)
    }
  }
}

// MARK: - What is known

extension RunWatcher {
  package var observation: Observation {
    seen.withLock { seen in
      let now = ContinuousClock.now
      return Observation(
        status: seen.status, source: seen.heard.map { .coordinator(heard: now - $0) } ?? .checkpoint,
        isCoordinated: seen.isCoordinated, sinceStep: seen.sinceStep.map { now - $0 }, usualStep: seen.usualStep,
        record: seen.record, problem: seen.problem)
    }
  }

  /// The newest error in the log's end.
  package var lastError: String? {
    seen.withLock { $0.log }.last { $0.split(separator: " ", maxSplits: 2).dropFirst().first == "error" }
      .flatMap { $0.split(separator: ": ", maxSplits: 1).last.map(String.init) }
  }

  /// Of the run directory's disk; nil where it cannot be told.
  package var room: RunEvents.Room? {
    let step = seen.withLock { $0.checkpoints.first?.step }
    return files?.room(for: step)
  }

  /// All of it as a terminal shows it.
  package func screen(named name: String, isUnicode: Bool) -> RunScreen {
    let now = Date().timeIntervalSince1970
    let history = files == nil ? seen.withLock { $0.losses } : metrics.withLock { $0.sample ?? $0.whole }
    let (checkpoints, log, _) = fileViews
    return RunScreen(
      name: name, run: observation, losses: history.buckets.map { $0[.loss].mean },
      checkpoints: checkpoints.map { ($0.step, max(0, now - $0.unixSeconds)) }, log: log, room: room,
      isUnicode: isUnicode)
  }

  var fileViews: (checkpoints: [RunFiles.Checkpoint], log: [String], blockSize: Int?) {
    seen.withLock { ($0.checkpoints, $0.log, $0.blockSize) }
  }

  /// Lends the history, of steps or of evaluations, for as short as can be.
  func withHistory<Result: Sendable>(
    ofEvaluations: Bool = false, _ body: (MetricsFollower) -> Result
  ) -> Result {
    if ofEvaluations { evaluations.withLock { body($0) } } else { metrics.withLock { body($0) } }
  }
}

// MARK: - Files

extension RunWatcher {
  private func look(at files: RunFiles) {
    let record = MetricsRecord.newest(inFile: "\(files.run)/metrics.jsonl")
    let (checkpoints, log) = (files.checkpoints(), files.logTail())
    let usual = metrics.withLock { Self.usualStep(in: $0.newest) }
    let known = seen.withLock { $0.blockSize }
    let blockSize = known ?? files.blockSize()
    seen.withLock { seen in
      (seen.record, seen.checkpoints, seen.log) = (record, checkpoints, log)
      (seen.usualStep, seen.blockSize) = (usual, blockSize)
    }
  }

  /// Half of the newest steps took longer; a pause of the whole run among them does not count.
  private static func usualStep(in history: History) -> Duration? {
    let times = history.buckets.suffix(usualSteps).compactMap { $0[.unixSeconds].mean }
    let gaps = zip(times.dropFirst(), times).map { $0 - $1 }.filter { $0 >= 0 }.sorted()
    return gaps.isEmpty ? nil : .seconds(gaps[gaps.count / 2])
  }
}

// MARK: - The coordinator

extension RunWatcher {
  /// What the thread that asks keeps from one question to the next.
  private struct Asked {
    var endpoint: Endpoint?
    /// Kept as long as the address is the same: a socket connects again by itself.
    var inquiry: StatusInquiry?
    /// The checkpoints of which the newest one's status is shown.
    var shown: [RunFiles.Checkpoint]?
  }

  private func ask(_ asked: inout Asked) {
    do {
      let named = try run.flatMap { try NamedCoordinator(ofRunAt: $0)?.endpoint }
      guard let endpoint = endpoint ?? named else {
        asked.inquiry = nil
        return takeCheckpoint(isCoordinated: false, unless: &asked.shown)
      }
      if asked.endpoint != endpoint { asked.inquiry = nil }
      let inquiry = try asked.inquiry ?? StatusInquiry(of: endpoint, security: security(endpoint))
      (asked.endpoint, asked.inquiry) = (endpoint, inquiry)
      switch try inquiry.ask(patience: Self.patience) {
      case .status(let status):
        asked.shown = nil
        take(status)
      case .none(let reason): fail(reason.map { "\($0)" }, &asked.shown)
      }
    } catch {
      asked.inquiry = nil
      fail("\(error)", &asked.shown)
    }
  }

  private func take(_ status: RunStatus) {
    seen.withLock { seen in
      let now = ContinuousClock.now
      noteStep(of: status, at: now, &seen)
      if run == nil { noteLoss(of: status, &seen) }
      (seen.status, seen.heard, seen.isCoordinated, seen.problem) = (status, now, true, nil)
    }
  }

  private func noteLoss(of status: RunStatus, _ seen: inout Seen) {
    // One that went back does steps again.
    if status.coordination.step < seen.losses.lastStep ?? 0 { seen.losses = History() }
    var values = [Double](repeating: .nan, count: Metric.count)
    values[Metric.loss.index] = status.loss ?? .nan
    seen.losses.add(step: status.coordination.step, values)
  }

  /// When the step's number changed: of the first look, when the step before it was recorded.
  private func noteStep(of status: RunStatus, at now: ContinuousClock.Instant, _ seen: inout Seen) {
    if let before = seen.status, seen.sinceStep != nil, seen.heard != nil {
      let isSame = before.coordination.step == status.coordination.step
      // A coordinator that was started again has just begun with its step.
      if !isSame || before.coordination.incarnation != status.coordination.incarnation { seen.sinceStep = now }
    } else {
      let age = seen.record.map { Date().timeIntervalSince1970 - $0.unixSeconds } ?? 0
      seen.sinceStep = now - .seconds(min(max(0, age), 1e9))
    }
  }

  /// It did not answer. What it said last is shown; before it ever answered, the newest checkpoint.
  private func fail(_ reason: String?, _ shown: inout [RunFiles.Checkpoint]?) {
    let wasHeard = seen.withLock { seen in
      (seen.problem, seen.isCoordinated) = (reason, true)
      return seen.heard != nil
    }
    if !wasHeard { takeCheckpoint(isCoordinated: true, unless: &shown) }
  }

  /// Reads the newest whole checkpoint, every byte of which is compared with its digest: once, for they do not change.
  private func takeCheckpoint(isCoordinated: Bool, unless shown: inout [RunFiles.Checkpoint]?) {
    let checkpoints = files?.checkpoints() ?? []
    if let run, checkpoints != shown {
      do {
        let status = try RunStatus(ofStoppedRunAt: run, in: FileStorage())
        seen.withLock { ($0.status, $0.problem) = (status, nil) }
      } catch {
        seen.withLock { ($0.status, $0.problem) = (nil, "\(error)") }
      }
      shown = checkpoints
    }
    seen.withLock { ($0.heard, $0.isCoordinated) = (nil, isCoordinated) }
  }
}
