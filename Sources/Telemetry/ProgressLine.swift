import Glibc

/// What people see of a run at a glance.
public struct ProgressState: Sendable, Equatable {
  /// Steps done.
  public var step: Int
  /// Steps at the run's end.
  public var lastStep: Int
  /// The epoch that is running, from 1.
  public var epoch: Int
  public var epochs: Int
  /// Of the last step; nil before the first.
  public var loss: Double?
  public var lr: Double?
  public var imagesPerSecond: Double?
  public var secondsLeft: Double?
  /// Workers connected.
  public var workers: Int
  /// Share of the memory's rows that came from pictures, 0...1.
  public var memoryFilled: Double

  public init(
    step: Int, lastStep: Int, epoch: Int, epochs: Int, loss: Double?, lr: Double?, imagesPerSecond: Double?,
    secondsLeft: Double?, workers: Int, memoryFilled: Double
  ) {
    self.step = step
    self.lastStep = lastStep
    self.epoch = epoch
    self.epochs = epochs
    self.loss = loss
    self.lr = lr
    self.imagesPerSecond = imagesPerSecond
    self.secondsLeft = secondsLeft
    self.workers = workers
    self.memoryFilled = memoryFilled
  }
}

/// The state of a run as one line.
public enum ProgressLine {
  private static let beginning = "step "

  /// Whether a line of a log is one of these: others begin with their time.
  public static func isOne(_ line: String) -> Bool { line.hasPrefix(beginning) }

  /// All of it, in words if they fit in `width` columns, else in short; where that does not fit either, the most wanted:
  /// step, loss, time left, images/s, workers, epoch, lr, memory. The order in the line does not change.
  public static func render(_ state: ProgressState, width: Int) -> String {
    let loss = state.loss.map { fixed($0, digits: 4) } ?? "-"
    let lr = state.lr.map(scientific) ?? "-"
    let rate = state.imagesPerSecond.map(rate) ?? "-"
    let left = state.secondsLeft.map(duration) ?? "-"
    let filled = Int((100 * min(max(state.memoryFilled, 0), 1)).rounded(.down))
    // (rank of what stays, words, short), in the order of the line.
    let parts: [(rank: Int, words: String, short: String)] = [
      (0, "\(beginning)\(state.step)/\(state.lastStep)", "\(beginning)\(state.step)/\(state.lastStep)"),
      (5, "epoch \(state.epoch)/\(state.epochs)", "ep \(state.epoch)/\(state.epochs)"),
      (1, "loss \(loss)", "loss \(loss)"),
      (6, "lr \(lr)", "lr \(lr)"),
      (3, "\(rate) images/s", "\(rate) img/s"),
      (2, "\(left) left", "\(short(left)) left"),
      (4, "\(state.workers) worker\(state.workers == 1 ? "" : "s")", "\(state.workers)w"),
      (7, "memory \(filled)%", "mem \(filled)%"),
    ]
    let line = parts.map(\.words).joined(separator: "  ")
    if line.count <= width { return line }
    for shown in stride(from: parts.count, to: 0, by: -1) {
      let line = parts.filter { $0.rank < shown }.map(\.short).joined(separator: " ")
      if line.count <= width { return line }
    }
    return String(parts[0].short.prefix(max(width, 0)))
  }

  /// "45 s", "3 min 05 s", "2 h 07 min", "12 d 04 h".
  public static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "-" }
    let total = Int(max(0, seconds).rounded())
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch total {
    case ..<60: return "\(total) s"
    case ..<3600: return "\(total / 60) min \(two(total % 60)) s"
    case ..<86400: return "\(total / 3600) h \(two(total % 3600 / 60)) min"
    default: return "\(total / 86400) d \(two(total % 86400 / 3600)) h"
    }
  }

  /// "3h12m" for "3 h 12 min".
  private static func short(_ duration: String) -> String {
    duration.replacing(" min", with: "m").replacing(" ", with: "")
  }

  /// "9.87", "98.7", "987".
  package static func rate(_ value: Double) -> String {
    guard value.isFinite else { return "-" }
    return value < 10 ? fixed(value, digits: 2) : value < 100 ? fixed(value, digits: 1) : fixed(value, digits: 0)
  }

  private static func fixed(_ value: Double, digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = pow(10, Double(digits))
    let scaled = Int((abs(value) * scale).rounded())
    let whole = "\(value < 0 && scaled != 0 ? "-" : "")\(scaled / Int(scale))"
    guard digits > 0 else { return whole }
    let fraction = "\(scaled % Int(scale))"
    return whole + "." + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// "2.50e-04": three digits, so that a schedule is seen to move.
  private static func scientific(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
    var exponent = Int(log10(abs(value)).rounded(.down))
    var mantissa = fixed(value / pow(10, Double(exponent)), digits: 2)
    // 9.996 rounds up to 10.00.
    if mantissa.hasSuffix("10.00") {
      exponent += 1
      mantissa = fixed(value / pow(10, Double(exponent)), digits: 2)
    }
    let digits = "\(abs(exponent))"
    return "\(mantissa)e\(exponent < 0 ? "-" : "+")\(digits.count < 2 ? "0" : "")\(digits)"
  }
}
