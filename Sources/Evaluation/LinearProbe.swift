import Numerics
import Optimization
import Synchronization

/// The field's linear probe: one linear layer, trained on frozen features by SGD.
///
/// Momentum 0.9, no weight decay, softmax and cross-entropy, weights drawn with deviation 0.01. The learning rate falls
/// along half a cosine to 0, an epoch at a time. Several learning rates are tried, each by itself, so a result depends
/// neither on the others nor on the number of threads. Source: the evaluation of DINO (ICCV 2021), with the sweep of iBOT
/// and DINOv2.
public struct LinearProbe: Sendable {
  public struct Settings: Sendable {
    public var epochs = 100
    /// Pictures a step; the last of an epoch may be smaller.
    public var batchSize = 256
    /// For 256 pictures a step; as many times as large for larger batches.
    public var learningRates = LinearProbe.learningRates
    public var seed: UInt64 = 0

    public init() {}
  }

  public static let learningRates = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
  static let momentum: Float = 0.9
  static let initialDeviation = 0.01

  /// What one learning rate comes to.
  public struct Result: Sendable {
    public let learningRate: Double
    /// Nil if the weights grew without bound.
    public let score: LinearClassifier.Score?
  }

  private let settings: Settings
  private let classCount: Int

  public init(_ settings: Settings, classCount: Int) {
    invariant(settings.epochs > 0 && settings.batchSize > 0 && classCount > 1)
    self.settings = settings
    self.classCount = classCount
  }

  /// Steps of all learning rates together, of so many pictures.
  public func steps(pictures: Int) -> Int {
    settings.learningRates.count * settings.epochs * stepsAnEpoch(pictures)
  }

  private func stepsAnEpoch(_ pictures: Int) -> Int {
    let together = min(settings.batchSize, pictures)
    return (pictures + together - 1) / together
  }

  /// Trains and asks for every learning rate, so many at a time as there are threads.
  /// - Parameters:
  ///   - done: told how many more steps are done, by any thread.
  ///   - found: told each result as soon as it is there, by any thread, in any order.
  /// - Returns: in the order of the settings.
  public func results(
    train: LabelledFeatures<Int>, test: LabelledFeatures<Int?>, threads: Int,
    done: @Sendable (Int) -> Void = { _ in }, found: @Sendable (Result) throws -> Void = { _ in }
  ) throws -> [Result] {
    let results = Mutex<[Int: Result]>([:])
    try SharedWork(pieces: settings.learningRates.count).run(threads: threads) { next in
      while let piece = next() {
        let rate = settings.learningRates[piece]
        let classifier = try classifier(learningRate: rate, of: train, done: done)
        let result = Result(learningRate: rate, score: try classifier.score(test, threads: 1))
        results.withLock { $0[piece] = result }
        try found(result)
      }
    }
    return results.withLock { results in results.keys.sorted().compactMap { results[$0] } }
  }

  /// The one with the largest accuracy; of equal ones the first, which is the most careful one in the usual order.
  public static func best(_ results: [Result]) -> Result? {
    results.filter { $0.score != nil }.max { ($0.score?.right ?? 0) < ($1.score?.right ?? 0) }
  }

  /// Trains one layer.
  package func classifier(
    learningRate: Double, of train: LabelledFeatures<Int>, done: @Sendable (Int) -> Void
  ) throws -> LinearClassifier {
    let (count, width) = (train.rows.count, train.rows.width)
    let classifier = LinearClassifier(classCount: classCount, width: width)
    drawWeights(of: classifier)
    let all = classifier.parameters.count
    let gradient = LinearClassifier(classCount: classCount, width: width)
    let momentum = FloatBuffer(count: all)
    let together = min(settings.batchSize, count)
    let (pixels, memory) = (FloatBuffer(count: together * width), FloatBuffer(count: together * classCount))
    let schedule = try CosineSchedule(
      "learning rate", from: learningRate * Double(settings.batchSize) / 256, to: 0, steps: settings.epochs)
    for epoch in 0..<settings.epochs {
      let order = KeyedPermutation(count: count, seed: settings.seed, purpose: .evaluation, index: UInt64(epoch))
      for start in stride(from: 0, to: count, by: together) {
        // 1. A batch, and its probabilities.
        let places = order.elements(at: Array(start..<min(start + together, count)))
        let rows = pixels.matrix(rows: places.count, columns: width)
        gatherRows(from: train.rows.matrix, places, into: rows)
        let logits = memory.matrix(rows: places.count, columns: classCount)
        classifier.logits(of: rows, into: logits)
        softmaxRows(logits)
        // 2. The gradient: probabilities less 1 at the true class, over the batch.
        for (row, place) in places.enumerated() { logits[row, train.labels[place]] -= 1 }
        scale(logits, by: 1 / Float(places.count))
        multiply(logits, .transposed, rows, .asIs, into: gradient.weights)
        fill(gradient.biases, with: 0)
        sumRows(of: Factor(logits), addingTo: gradient.biases)
        // 3. The step.
        let factors = MomentumFactors(
          gradientScale: 1, decay: 0, trust: 1, keep: Self.momentum, learningRate: Float(schedule[epoch]))
        momentumStep(
          weights: classifier.parameters.vector, gradient: gradient.parameters.vector, momentum: momentum.vector,
          factors: factors, into: classifier.parameters.vector, momentum.vector)
      }
      done(stepsAnEpoch(count))
    }
    return classifier
  }

  /// The same for every learning rate.
  private func drawWeights(of classifier: LinearClassifier) {
    var stream = RandomStream(
      RandomKey(seed: settings.seed, purpose: .evaluation, view: EvaluationDraw.weights.rawValue))
    let weights = classifier.parameters
    for place in 0..<classCount * classifier.width { weights[place] = Float(Self.initialDeviation * stream.normal()) }
  }
}

/// What evaluations draw, each from streams of its own. Orders of epochs have view 0.
enum EvaluationDraw: UInt32 {
  case weights = 1
  case labels = 2
  case centers = 3
}

// MARK: - Memory

extension EvaluationMemory.Work {
  /// Of a linear probe with features of so many floats.
  public static func linearProbe(
    _ settings: LinearProbe.Settings, pictures: Int, classCount: Int, width: Int
  ) -> Self {
    let layers = 3 * LinearClassifier.floatCount(classCount: classCount, width: width)
    let batch = min(settings.batchSize, pictures) * (width + classCount)
    return Self(shared: 0, eachThread: max(4 * (layers + batch), LinearClassifier.bytesAsking(classCount: classCount)))
  }
}
