import Coordination
import Foundation
import Printing
import Services
import Telemetry

/// A run as a person sees it in a terminal that is left open.
///
/// The most wanted lines come first. A screen that is too low shows fewer workers and less of the log; one that is too
/// narrow cuts lines.
public struct RunScreen: Sendable {
  /// Its run directory, or its coordinator's address.
  public var name: String
  public var run: Observation
  /// Loss of the whole run, oldest first; nil for what is not known.
  public var losses: [Double?]
  /// Newest first, each with the seconds since it was written.
  public var checkpoints: [(step: Int, age: Double)]
  /// Oldest line first.
  public var log: [String]
  public var room: RunEvents.Room?
  /// Whether the terminal shows other characters than ASCII.
  public var isUnicode: Bool

  public init(
    name: String, run: Observation, losses: [Double?], checkpoints: [(step: Int, age: Double)] = [],
    log: [String] = [], room: RunEvents.Room? = nil, isUnicode: Bool
  ) {
    self.name = name
    self.run = run
    self.losses = losses
    self.checkpoints = checkpoints
    self.log = log
    self.room = room
    self.isUnicode = isUnicode
  }

  /// Lines of the log for which workers make room.
  private static let leastLog = 5
  private static let labelWidth = 12

  /// At most `rows` lines of at most `columns` characters.
  public func lines(columns: Int, rows: Int) -> [ScreenLine] {
    guard rows > 0 else { return [] }
    let verdict = Verdict(of: run)
    var lines = [ScreenLine(name, .title), verdictLine(verdict)]
    lines += run.notices.map { ScreenLine($0, .notable) }
    if let warning = run.status?.warning, verdict.text != warning { lines.append(ScreenLine(warning, .bad)) }
    if let status = run.status {
      lines += [ScreenLine(), progress(status, columns)] + figures(status, columns)
    }
    // The last line says how to leave.
    let left = max(0, rows - 1 - lines.count)
    let workers = workerLines(rows: max(0, left - min(log.count, Self.leastLog, left / 3) - 2))
    if !workers.isEmpty { lines += [ScreenLine()] + workers }
    let room = rows - 1 - lines.count - 1
    if room > 0, !log.isEmpty { lines += [ScreenLine()] + log.suffix(room).map { ScreenLine($0, .faint) } }
    lines = Array(lines.prefix(max(0, rows - 1)))
    while lines.count < rows - 1 { lines.append(ScreenLine()) }
    return (lines + [ScreenLine("q leaves", .faint)]).map { $0.cut(to: columns) }
  }
}

// MARK: - The run

extension RunScreen {
  private func verdictLine(_ verdict: Verdict) -> ScreenLine {
    let style: ScreenLine.Style =
      switch verdict.state {
      case .well, .finished: .good
      case .young: .title
      case .stalled, .collapsing, .stopped, .silent, .absent: .bad
      }
    var line = ScreenLine(verdict.state.rawValue.uppercased() + "  ", style)
    line.add(verdict.text)
    return line
  }

  private func progress(_ status: RunStatus, _ columns: Int) -> ScreenLine {
    let now = status.coordination
    let share = min(1, Double(now.step) / Double(max(1, now.lastStep)))
    let words = String(format: "  %5.1f %%  epoch %d of %d", 100 * share, status.epoch, Int(status.epochs.rounded(.up)))
    let width = max(0, columns - words.count)
    let done = Int(share * Double(width))
    var line = ScreenLine(String(repeating: isUnicode ? "█" : "#", count: done), .good)
    line.add(String(repeating: isUnicode ? "░" : ".", count: width - done), .faint)
    line.add(words)
    return line
  }

  private func figures(_ status: RunStatus, _ columns: Int) -> [ScreenLine] {
    let now = status.coordination
    var lines: [ScreenLine] = []
    func add(_ label: String, _ text: String?) {
      guard let text else { return }
      var line = ScreenLine(label.padding(toLength: Self.labelWidth, withPad: " ", startingAt: 0), .faint)
      line.add(text)
      lines.append(line)
    }
    let known = losses.compactMap { $0 }
    add("loss", status.loss.map { String(format: "%.4f", $0) + lossParts })
    if let least = known.min(), let largest = known.max() {
      let span = String(format: "  %.3f to %.3f", least, largest)
      let width = columns - Self.labelWidth - span.count
      add("", Sparkline.text(losses, columns: width, isUnicode: isUnicode) + span)
    }
    add("rate", rate(status))
    add("embeddings", signs(status))
    add("features", status.evaluation.map { "\($0.words), of step \($0.step)" })
    let filled = Int(100 * min(1, Double(status.memory.rows) / Double(max(1, status.memory.size))))
    add("memory", "\(filled) % of \(status.memory.size) rows" + rows(status))
    add("step", now.step < now.lastStep && run.isHeard ? step(now) : nil)
    let newest = checkpoints.first.map { "step \($0.step), \(ProgressLine.duration($0.age)) ago" }
    let disk = room.map { "; \($0.free >> 30) GiB free" } ?? ""
    add("checkpoint", (newest ?? now.durableStep.map { "step \($0)" } ?? "none yet") + disk)
    return lines
  }

  private var lossParts: String {
    guard let record = run.record, record.koleo != 0 else { return "" }
    return String(format: "  consistency %.4f, koleo %.4f", record.consistency, record.koleo)
  }

  private func rate(_ status: RunStatus) -> String? {
    let parts = [
      status.imagesPerSecond.map { "\(ProgressLine.rate($0)) images/s" },
      status.secondsLeft.map { "\(ProgressLine.duration($0)) left" }, status.lr.map { String(format: "lr %.3g", $0) },
      run.record.map { String(format: "gradient norm %.3g", $0.gradientNorm) },
    ].compactMap(\.self)
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }

  private func signs(_ status: RunStatus) -> String? {
    guard let entropy = status.targetEntropy, let spread = status.embeddingSpread else { return nil }
    let chosen = status.chosenShare.map { String(format: ", %.3f of rows chosen", $0) } ?? ""
    return String(format: "spread %.3f, target entropy %.3f", spread, entropy) + chosen
  }

  private func rows(_ status: RunStatus) -> String {
    var text = ""
    if let cached = status.rowsCached, let fetched = status.rowsFetched, cached + fetched > 0 {
      text += "; the step fetched \(fetched), \(cached) were cached"
    }
    if let shards = status.coordination.memoryShards, !shards.shards.isEmpty {
      text += "; \(shards.shards.count { $0.state != "away" }) of \(shards.shards.count) shards are there"
    }
    return text
  }

  /// What it waits for, and for how long.
  private func step(_ now: Status) -> String {
    let since = run.sinceStep.map { ", for \(ProgressLine.duration($0 / .seconds(1)))" } ?? ""
    let usual = run.usualStep.map { " (usually \($0.words))" } ?? ""
    return "\(now.step + 1) is \(now.phase)\(since)\(usual): \(now.acceptedSlices) of \(now.slices) slices are in"
  }
}

// MARK: - Workers

extension RunScreen {
  /// A table of as many as there is room for; those that are gone or silent first, then in the order of joining.
  private func workerLines(rows: Int) -> [ScreenLine] {
    guard let workers = run.status?.coordination.workers, run.isHeard, rows > 1 else { return [] }
    guard !workers.isEmpty else { return [ScreenLine("No worker is connected.", .notable)] }
    let ordered = workers.filter { !$0.isHeard } + workers.filter(\.isHeard)
    let shown = ordered.count <= rows - 1 ? ordered.count : rows - 2
    let width = min(40, ordered.prefix(shown).map { Self.name($0).count }.max() ?? 0)
    var lines = [
      ScreenLine(Self.row(["worker", "threads", "idle", "leases", "slices/s", "slices", ""], width), .faint)
    ]
    for worker in ordered.prefix(shown) {
      let cells = [
        Self.name(worker), "\(worker.threads)", "\(worker.idleThreads)", "\(worker.leases)",
        worker.slicesPerSecond.map { String(format: "%.2f", $0) } ?? "-", "\(worker.acceptedSlices)", worker.heardWords,
      ]
      lines.append(ScreenLine(Self.row(cells, width), worker.isHeard ? .plain : .bad))
    }
    if shown < ordered.count { lines.append(ScreenLine("and \(ordered.count - shown) more", .faint)) }
    return lines
  }

  private static func name(_ worker: Status.Worker) -> String { worker.name.printable }

  private static func row(_ cells: [String], _ width: Int) -> String {
    let widths = [max(width, 6), 7, 5, 6, 8, 8, 0]
    return zip(cells, widths).enumerated().map { index, cell in
      let padding = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
      return index == 0 ? String(cell.0.prefix(cell.1)) + padding : padding + cell.0
    }.joined(separator: "  ")
  }
}

extension Status.Worker {
  fileprivate var isHeard: Bool { isConnected && secondsSinceHeard < CoordinationLimits.silence / .seconds(1) }

  /// Of one whose host is off the network the coordinator knows only that it says nothing any more.
  public var heardWords: String {
    let duration = ProgressLine.duration(secondsSinceHeard)
    guard isConnected else { return "not connected, heard \(duration) ago" }
    return isHeard ? String(format: "heard %.1f s ago", secondsSinceHeard) : "silent for \(duration)"
  }
}
