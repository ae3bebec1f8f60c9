import Numerics

/// The field's low-shot evaluation: logistic regression on frozen features of unit length, with few labels.
///
/// Every penalty is tried, the largest first, and each fit begins where the one before ended. The penalty with the best
/// mean accuracy over the draws is reported. Source: the protocol of MSN (ECCV 2022), with one penalty of its own.
public struct LowShot: Sendable {
  public static let penalties = [0.1, 0.01, 0.001, 1e-4, 1e-5, 1e-6, 1e-7]

  /// What one penalty comes to, over all draws.
  public struct Result: Sendable {
    public let penalty: Double
    /// One a draw.
    public let scores: [LinearClassifier.Score]
    /// Of the fits, what was minimised: one a draw.
    public let losses: [Double]
    /// Fits that ended before their gradient was as small as wanted.
    public let unfinished: Int

    public var topOne: (mean: Double, deviation: Double) { Self.moments(scores.map(\.topOne)) }
    public var topFive: (mean: Double, deviation: Double) { Self.moments(scores.map(\.topFive)) }

    /// The deviation is that of a sample: 0 of one.
    static func moments(_ values: [Double]) -> (mean: Double, deviation: Double) {
      let count = Double(max(values.count, 1))
      let mean = values.reduce(0, +) / count
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      return (mean, values.count > 1 ? (squares / (count - 1)).squareRoot() : 0)
    }
  }

  private let penalties: [Double]
  private let classCount: Int

  public init(penalties: [Double], classCount: Int) {
    invariant(!penalties.isEmpty && penalties.allSatisfy { $0 > 0 } && classCount > 1)
    self.penalties = penalties.sorted(by: >)
    self.classCount = classCount
  }

  /// Fits of so many draws.
  public func fits(draws: Int) -> Int { draws * penalties.count }

  /// - Parameters:
  ///   - draws: of each, the places of the pictures in `train` whose labels may be seen.
  ///   - done: told of each fit.
  /// - Returns: a result a penalty, the largest penalty first.
  /// - Throws: `EvaluationError.noFit` if a layer's logits are not finite.
  public func results(
    train: LabelledFeatures<Int>, draws: [[Int]], test: LabelledFeatures<Int?>, threads: Int,
    done: @Sendable (Int) -> Void = { _ in }
  ) throws -> [Result] {
    var scores = penalties.map { _ in [LinearClassifier.Score]() }
    var losses = penalties.map { _ in [Double]() }
    var unfinished = penalties.map { _ in 0 }
    for places in draws {
      let seen = train.subset(places)
      var layer: LinearClassifier?
      for (index, penalty) in penalties.enumerated() {
        let fit = try LogisticRegression(penalty: penalty)
          .fit(seen, classCount: classCount, from: layer, threads: threads)
        guard let score = try fit.classifier.score(test, threads: threads) else {
          throw EvaluationError.noFit(penalty: penalty)
        }
        scores[index].append(score)
        losses[index].append(fit.outcome.value)
        if !fit.outcome.hasConverged { unfinished[index] += 1 }
        layer = fit.classifier
        done(1)
      }
    }
    return penalties.indices.map {
      Result(penalty: penalties[$0], scores: scores[$0], losses: losses[$0], unfinished: unfinished[$0])
    }
  }

  /// The one with the best mean accuracy; of equal ones the first, whose penalty is larger.
  public static func best(_ results: [Result]) -> Result? { results.max { $0.topOne.mean < $1.topOne.mean } }
}

// MARK: - Memory

extension EvaluationMemory.Work {
  /// Of logistic regressions on so many pictures.
  public static func lowShot(pictures: Int, classCount: Int, width: Int) -> Self {
    let layer = LinearClassifier.floatCount(classCount: classCount, width: width)
    return Self(
      shared: 4 * pictures * width + LogisticRegression.bytes(layer: layer, classCount: classCount),
      eachThread: LinearClassifier.bytesAsking(classCount: classCount))
  }
}

extension LogisticRegression {
  /// Points, directions and pairs of the search, and the parts of a gradient.
  static func bytes(layer: Int, classCount: Int) -> Int {
    4 * (layer * (2 * LBFGS().history + 7 + partsAtMost) + partsAtMost * together * classCount)
  }
}
