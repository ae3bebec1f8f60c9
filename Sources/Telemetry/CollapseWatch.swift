import Foundation

/// Watches a run for collapse: embeddings that no longer tell pictures apart, by three signs, any of which is enough.
///
///     var watch = CollapseWatch(blockSize: 1024, memorySize: 4096)
///     if let change = watch.take(record) { ... }      // once a step; says something when it begins and when it is over
///
/// A sign is a mean over the last 32 steps or so, beyond its first limit; it is over once back beyond its second one.
/// Nothing is judged before the memory was filled once, or, where that takes longer, before a warm-up of steps: a young
/// network's embeddings are nearly equal, and healthy runs look ill. Until the memory is filled, which rows were chosen
/// says nothing, nor does the entropy where noise, which the memory begins with, has a high one by itself. Low entropy is
/// no sign: targets that each point at one row are merely sharp.
public struct CollapseWatch: Sendable {
  /// Mean entropy of the targets over its largest value, log N. Healthy runs of the demo and cifar10 recipes stay below
  /// 0.9; a run whose rate was absurd came to 0.999.
  static let entropy = Limits(begins: 0.98, ends: 0.95)
  /// The embeddings' spread. Healthy runs of the same stay above 0.35, the one that collapsed came to 0.05.
  static let spread = Limits(begins: 0.1, ends: 0.2)
  /// Share of rows ever chosen. With n blocks a step a row is the nearest to 2 n views before it leaves, on average, so
  /// that evenly used memories have over half of their rows chosen; at 0.05 a few stand for all.
  static let chosen = Limits(begins: 0.05, ends: 0.1)
  /// Of the running means, in steps.
  static let span = 32.0
  /// Steps after which a memory that is not filled is not waited for. The demo's loss turns after some 150; its spread is
  /// least, 0.4, after some 70. With lr 1 it is below 0.1 from the 13th step on.
  static let warmUpSteps = 256

  struct Limits {
    let begins: Double
    let ends: Double
  }

  /// Where the signs begin, for whoever draws them beside the figures.
  package static var leastSpread: Double { spread.begins }
  package static var leastChosenShare: Double { chosen.begins }
  /// The step after which it is judged whether a run collapses, though its memory is not filled.
  /// - Parameter rateRises: as below.
  package static func judges(afterStepsOf rateRises: Int) -> Int { max(warmUpSteps, rateRises) + Int(span) }
  /// In nats, of targets over blocks of so many rows.
  package static func largestEntropy(blockSize: Int) -> Double { entropy.begins * log(Double(max(blockSize, 2))) }

  /// What the newest step changed.
  public enum Change: Sendable, Equatable {
    case begins(String)
    case ends(String)
  }

  /// A sentence while the run seems to collapse.
  public private(set) var warning: String?

  private let largestEntropy: Double
  private let memorySize: Int
  private let width: Int
  private let warmUpSteps: Int
  private var steps = 0.0
  /// Running means; 1 for the share while it is not known.
  private var means = (entropy: 0.0, spread: 0.0, chosen: 0.0)
  private var isSeen = (entropy: false, spread: false, chosen: false)

  /// - Parameters:
  ///   - blockSize: N, whose logarithm is the largest entropy.
  ///   - memorySize: K, rows.
  ///   - width: floats in a row.
  ///   - rateRises: steps in which the learning rate rises; a network is young as long as that.
  ///   - warning: what was said last, by a process before this one.
  public init(blockSize: Int, memorySize: Int, width: Int, rateRises: Int = 0, warning: String? = nil) {
    largestEntropy = log(Double(max(blockSize, 2)))
    self.memorySize = memorySize
    self.width = width
    warmUpSteps = max(Self.warmUpSteps, rateRises)
    self.warning = warning
  }

  /// - Parameter record: of the newest step, in the order of the steps.
  public mutating func take(_ record: MetricsRecord) -> Change? {
    let isFilled = record.memoryRows >= memorySize
    guard isFilled || record.step > warmUpSteps, record.targetEntropy.isFinite, let spread = record.embeddingSpread
    else { return nil }
    let entropy =
      isFilled || entropyOfNoise(teacherTemp: record.teacherTemp) < Self.entropy.ends
      ? record.targetEntropy / largestEntropy : 0
    steps = min(steps + 1, Self.span)
    means.entropy += (entropy - means.entropy) / steps
    means.spread += (spread - means.spread) / steps
    means.chosen += ((isFilled ? record.chosenShare ?? 1 : 1) - means.chosen) / steps
    guard steps == Self.span else { return nil }

    isSeen.entropy = means.entropy > (isSeen.entropy ? Self.entropy.ends : Self.entropy.begins)
    isSeen.spread = means.spread < (isSeen.spread ? Self.spread.ends : Self.spread.begins)
    isSeen.chosen = means.chosen < (isSeen.chosen ? Self.chosen.ends : Self.chosen.begins)
    let before = warning
    warning = sentence
    switch (before, warning) {
    case (nil, let warning?): return .begins(warning)
    case (.some, nil): return .ends("The run no longer seems to collapse.")
    default: return nil
    }
  }

  /// Of its largest value, what targets over rows of noise have: cosines with them are normal, of variance 1 / width.
  private func entropyOfNoise(teacherTemp: Double) -> Double {
    1 - 1 / (2 * Double(width) * teacherTemp * teacherTemp * largestEntropy)
  }

  private var sentence: String? {
    var signs: [String] = []
    if isSeen.entropy {
      signs.append(
        "the teacher's targets say nothing (entropy \(Self.text(means.entropy)) of its largest value)")
    }
    if isSeen.spread { signs.append("all embeddings are nearly the same (spread \(Self.text(means.spread)))") }
    if isSeen.chosen {
      signs.append("a few memory rows stand for all (only \(Self.text(means.chosen)) of them were ever chosen)")
    }
    return signs.isEmpty
      ? nil
      : "The run seems to collapse: \(signs.joined(separator: "; ")). Other settings may help: a lower teacher_temp or "
        + "lr, use_bn_in_head, a koleo_weight; massl fork goes on from an older checkpoint with them."
  }

  private static func text(_ value: Double) -> String { String(format: "%.3f", value) }
}
