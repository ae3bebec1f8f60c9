import Coordination
import Services
import Telemetry

/// Whether a run is well, in a word and a sentence.
public struct Verdict: Sendable, Equatable {
  public enum State: String, Sendable, CaseIterable {
    case well
    /// Too few steps to tell.
    case young
    case stalled
    case collapsing
    case finished
    /// It ended before its last step.
    case stopped
    /// The coordinator is not heard.
    case silent
    /// There is no run yet.
    case absent
  }

  public let state: State
  /// One line.
  public let text: String

  /// Whether nobody has to do anything.
  public var isHealthy: Bool { [.well, .young, .finished].contains(state) }
}

extension Verdict {
  /// Steps that take this long, and ten times as long as they use to, are stalled.
  static let stall = Duration.seconds(30)
  static let usualSteps = 10

  public init(of run: Observation) {
    guard let status = run.status else {
      self.init(
        state: .absent,
        text: "No run yet: no coordinator was heard, and there is no checkpoint." + (run.problem.map { " \($0)" } ?? "")
      )
      return
    }
    let now = status.coordination
    if now.step >= now.lastStep, now.phase != "leaving" {
      let warning = status.warning.map { " \($0)" } ?? ""
      self.init(state: .finished, text: "All \(now.lastStep) steps are done.\(warning)")
    } else if !run.isHeard {
      self = Self.unheard(run, now)
    } else if let warning = status.warning {
      self.init(state: .collapsing, text: warning)
    } else if let sentence = Self.stall(of: run, now) {
      self.init(state: .stalled, text: sentence)
    } else {
      self = Self.going(status)
    }
  }

  private static func unheard(_ run: Observation, _ now: Status) -> Verdict {
    let why = run.problem.map { " \($0)" } ?? ""
    if case .coordinator(let heard) = run.source, run.isCoordinated {
      return Verdict(
        state: .silent,
        text: "The coordinator was last heard \(words(heard)) ago, in step \(now.step) of \(now.lastStep).\(why)")
    }
    if run.isCoordinated {
      return Verdict(
        state: .silent,
        text: "The coordinator does not answer. Its newest checkpoint is of step \(now.step) of \(now.lastStep).\(why)")
    }
    return Verdict(
      state: .stopped,
      text: "Stopped at step \(now.step) of \(now.lastStep): nobody coordinates the run. The command that started it "
        + "goes on.")
  }

  /// What the step waits for, if it takes much longer than steps do.
  private static func stall(of run: Observation, _ now: Status) -> String? {
    if now.connectedWorkers.isEmpty, now.phase == "computing" {
      return "Step \(now.step + 1) waits for workers: none is connected."
    }
    if let waiting = now.memoryShards?.waiting { return "Step \(now.step + 1) waits: \(waiting)" }
    guard let since = run.sinceStep, since > max(stall, (run.usualStep ?? .zero) * usualSteps) else { return nil }
    let usual = run.usualStep.map { ", and steps usually take \(words($0))" } ?? ""
    return "Step \(now.step + 1) has taken \(words(since))\(usual). \(Self.waiting(now))"
  }

  /// What is being waited for, by what the coordinator knows.
  private static func waiting(_ now: Status) -> String {
    switch now.phase {
    case "computing":
      let silent = now.workers.filter { $0.secondsSinceHeard > Observation.silence / .seconds(1) }
      let slices = "\(now.acceptedSlices) of \(now.slices) slices are in"
      if silent.count == now.workers.count { return "\(slices), and no worker is heard any more." }
      let busy = now.workers.count { $0.leases > 0 }
      let unheard = silent.isEmpty ? "" : "; \(silent.count) of them not heard any more"
      return "\(slices); \(busy) of \(now.workers.count) workers have work\(unheard)."
    case "reducing": return "Its gradients are being added up by \(now.reducers) workers."
    case "updating": return "The coordinator is computing its update, or writing its rows."
    case "concluding": return "The last checkpoint is being written."
    default: return "The coordinator is \(now.phase)."
    }
  }

  private static func going(_ status: RunStatus) -> Verdict {
    let now = status.coordination
    let rate = status.imagesPerSecond.map { ", \(ProgressLine.rate($0)) images/s" } ?? ""
    let left = status.secondsLeft.map { ", \(ProgressLine.duration($0)) left" } ?? ""
    let progress = "Step \(now.step) of \(now.lastStep)\(rate)\(left)."
    let isFilled = status.memory.rows >= status.memory.size
    guard isFilled || now.step > status.collapseJudgedAfterStep else {
      let filled = Int(100 * Double(status.memory.rows) / Double(max(1, status.memory.size)))
      return Verdict(
        state: .young,
        text: "\(progress) Whether it collapses is judged once the memory, \(filled) % filled, is full, or after "
          + "\(status.collapseJudgedAfterStep) steps.")
    }
    return Verdict(state: .well, text: progress)
  }

  private static func words(_ time: Duration) -> String {
    let seconds = time / .seconds(1)
    return seconds < 10 ? time.words : ProgressLine.duration(seconds)
  }
}

// MARK: - Beside it

extension Observation {
  /// What somebody should look into though the run goes on, a sentence each.
  public var notices: [String] {
    guard let status else { return [] }
    let now = status.coordination
    var notices = now.quarantined.map { "Host '\($0.host)' computed step \($0.step) wrongly; its workers are refused." }
    if now.counts.failedCheckpoints > 0 {
      notices.append(
        "\(now.counts.failedCheckpoints) checkpoints could not be written; the newest whole one is of step "
          + "\(now.durableStep.map { "\($0)" } ?? "none").")
    }
    if now.lostPictures > 0 { notices.append("\(now.lostPictures) pictures can no longer be read; others stand in.") }
    if now.undecodablePictures > 0 {
      notices.append("\(now.undecodablePictures) pictures do not decode; others stand in.")
    }
    let away = now.memoryShards?.shards.filter { $0.state == "away" } ?? []
    if !away.isEmpty { notices.append("Memory shards are away: \(away.map(\.name).joined(separator: ", ")).") }
    for shard in now.memoryShards?.shards ?? [] {
      if let problem = shard.problem { notices.append("Memory shard \(shard.name): \(problem)") }
    }
    return notices
  }
}
