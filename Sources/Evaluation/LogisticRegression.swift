import Numerics
import Synchronization

/// Multinomial logistic regression with an L2 penalty, fitted by L-BFGS.
///
/// Minimises the mean cross-entropy + penalty / 2 * |W|²; biases are not penalised. scikit-learn's C is
/// 1 / (penalty * rows).
public struct LogisticRegression: Sendable {
  /// Of the squared weights; above 0.
  public let penalty: Double
  public var optimizer = LBFGS()

  public init(penalty: Double) {
    invariant(penalty > 0)
    self.penalty = penalty
  }

  /// A layer, and how it was found.
  public struct Fit: Sendable {
    public let classifier: LinearClassifier
    public let outcome: LBFGS.Outcome
  }

  /// Rows of one product.
  static let together = 256
  /// Parts that gradients are summed in, whatever the threads are.
  static let partsAtMost = 8

  /// - Parameters:
  ///   - train: rows and their classes, each below `classCount`.
  ///   - beginning: where it begins; at zero if nil.
  public func fit(
    _ train: LabelledFeatures<Int>, classCount: Int, from beginning: LinearClassifier? = nil, threads: Int
  ) throws -> Fit {
    let (count, width) = (train.rows.count, train.rows.width)
    let classifier = LinearClassifier(classCount: classCount, width: width)
    if let beginning { copy(beginning.parameters.vector, into: classifier.parameters.vector) }
    let tiles = (count + Self.together - 1) / Self.together
    let parts = min(tiles, Self.partsAtMost)
    let scratch = (0..<parts).map { _ in Part(classCount: classCount, width: width, rows: Self.together) }
    let outcome = try optimizer.minimize(classifier.parameters.vector) { point, gradient in
      let layer = LinearClassifier(point.buffer, classCount: classCount, width: width)
      // 1. Each part's sum, tile by tile.
      let losses = Mutex([Double](repeating: 0, count: parts))
      try SharedWork(pieces: parts).run(threads: threads) { next in
        while let part = next() {
          let range = part * tiles / parts..<(part + 1) * tiles / parts
          let rows = range.lowerBound * Self.together..<min(range.upperBound * Self.together, count)
          let loss = scratch[part].add(train, rows, layer)
          losses.withLock { $0[part] = loss }
        }
      }
      // 2. All parts', in their order, over the rows.
      fill(gradient, with: 0)
      for part in scratch { addScaled(part.gradient.parameters.vector, by: 1 / Float(count), to: gradient) }
      // 3. The penalty's share.
      let (weights, ofWeights) = (
        point.vector(at: 0, count: classCount * width), gradient.vector(at: 0, count: classCount * width)
      )
      addScaled(weights, by: Float(penalty), to: ofWeights)
      let loss = losses.withLock { $0.reduce(0, +) } / Double(count)
      return loss + penalty / 2 * sumOfSquares(weights)
    }
    return Fit(classifier: classifier, outcome: outcome)
  }

  /// What one part of the rows is summed in.
  private struct Part: Sendable {
    let gradient: LinearClassifier
    private let memory: FloatBuffer
    private let together: Int

    init(classCount: Int, width: Int, rows: Int) {
      gradient = LinearClassifier(classCount: classCount, width: width)
      memory = FloatBuffer(count: rows * classCount)
      together = rows
    }

    /// Sets `gradient` to the rows' sum.
    /// - Returns: their cross-entropy, summed.
    func add(_ train: LabelledFeatures<Int>, _ rows: Range<Int>, _ layer: LinearClassifier) -> Double {
      var loss = 0.0
      fill(gradient.parameters.vector, with: 0)
      for start in stride(from: rows.lowerBound, to: rows.upperBound, by: together) {
        let range = start..<min(start + together, rows.upperBound)
        let features = train.rows.matrix.rows(range)
        let logits = memory.matrix(rows: range.count, columns: layer.classCount)
        layer.logits(of: features, into: logits)
        // log sum e^z = top - log of the top's probability: e^0 over the sum.
        let tops = (0..<range.count).map { columnOfLargest(logits, row: $0) }
        let rises = (0..<range.count).map {
          Double(logits[$0, tops[$0]]) - Double(logits[$0, train.labels[start + $0]])
        }
        softmaxRows(logits)
        for row in 0..<range.count {
          loss += rises[row] - logarithm(Double(logits[row, tops[row]]))
          logits[row, train.labels[start + row]] -= 1
        }
        multiply(logits, .transposed, features, .asIs, keep: 1, into: gradient.weights)
        sumRows(of: Factor(logits), addingTo: gradient.biases)
      }
      return loss
    }
  }
}
