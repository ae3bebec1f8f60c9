import Evaluation
import Numerics
import Testing

@Suite struct LinearProbeTests {
  private func sides(classes: Int = 3, deviation: Double = 0.1) -> (LabelledFeatures<Int>, LabelledFeatures<Int?>) {
    let (train, test) = (
      blobs(classes: classes, each: 40, width: 6, deviation: deviation),
      blobs(classes: classes, each: 15, width: 6, deviation: deviation, seed: 2)
    )
    return (LabelledFeatures(train.rows, train.classes), LabelledFeatures(test.rows, test.classes.map { $0 }))
  }

  private func settings(epochs: Int, batch: Int, rates: [Double]) -> LinearProbe.Settings {
    var settings = LinearProbe.Settings()
    (settings.epochs, settings.batchSize, settings.learningRates) = (epochs, batch, rates)
    return settings
  }

  @Test func whatALineTellsApartIsTold() throws {
    let (train, test) = sides()
    let probe = LinearProbe(settings(epochs: 30, batch: 32, rates: [0.001, 1, 8]), classCount: 3)
    let best = try #require(LinearProbe.best(try probe.results(train: train, test: test, threads: 2)))
    #expect(best.score?.topOne == 1 && best.score?.asked == 45)
  }

  @Test func theOnlyThingThatThreadsDecideIsTheTime() throws {
    let (train, test) = sides(classes: 7, deviation: 1.5)
    let probe = LinearProbe(settings(epochs: 3, batch: 32, rates: [0.01, 0.1, 1, 2, 4]), classCount: 7)
    let results = try [1, 4].map { try probe.results(train: train, test: test, threads: $0) }
    #expect(results[0].map(\.score) == results[1].map(\.score))
    #expect(results[0].map(\.learningRate) == [0.01, 0.1, 1, 2, 4])
    #expect(Set(results[0].map { $0.score?.right }).count > 1)
    // Alone it is what it was beside others.
    let alone = LinearProbe(settings(epochs: 3, batch: 32, rates: [1]), classCount: 7)
    #expect(try alone.results(train: train, test: test, threads: 1)[0].score == results[0][2].score)
  }

  /// In doubles, as the formulas are written.
  @Test func aLayerIsTrainedAsByHand() throws {
    let (train, _) = sides(deviation: 0.5)
    let (epochs, batch, rate, width, count) = (3, 50, 0.8, 6, 120)
    let probe = LinearProbe(settings(epochs: epochs, batch: batch, rates: [rate]), classCount: 3)
    let found = try probe.classifier(learningRate: rate, of: train) { _ in }.parameters.array

    var stream = RandomStream(RandomKey(seed: 0, purpose: .evaluation, view: 1))
    var weights = (0..<3 * width).map { _ in 0.01 * stream.normal() } + [0, 0, 0]
    var momentum = [Double](repeating: 0, count: weights.count)
    for epoch in 0..<epochs {
      let order = KeyedPermutation(count: count, seed: 0, purpose: .evaluation, index: UInt64(epoch))
      let learningRate =
        rate * Double(batch) / 256 * (1 + cosineAndSine(turns: Double(epoch) / Double(2 * epochs)).cosine) / 2
      for start in stride(from: 0, to: count, by: batch) {
        let places = (start..<min(start + batch, count)).map { order[$0] }
        var gradient = [Double](repeating: 0, count: weights.count)
        for place in places {
          let row = train.rows.matrix.row(at: place).array.map(Double.init)
          let logits = (0..<3).map { c in
            weights[3 * width + c] + (0..<width).reduce(0) { $0 + weights[c * width + $1] * row[$1] }
          }
          let powers = logits.map { exponential($0) }
          for c in 0..<3 {
            let slope = powers[c] / powers.reduce(0, +) - (train.labels[place] == c ? 1 : 0)
            for column in 0..<width { gradient[c * width + column] += slope * row[column] / Double(places.count) }
            gradient[3 * width + c] += slope / Double(places.count)
          }
        }
        for index in weights.indices {
          momentum[index] = 0.9 * momentum[index] + gradient[index]
          weights[index] -= learningRate * momentum[index]
        }
      }
    }
    let difference = zip(found, weights).map { abs(Double($0) - $1) }.max() ?? .nan
    #expect(difference < 1e-5, "\(difference)")
  }

  @Test func weightsThatGrowWithoutBoundAreNoResult() throws {
    let (train, test) = sides()
    let probe = LinearProbe(settings(epochs: 2, batch: 32, rates: [1e40, 0.1]), classCount: 3)
    let results = try probe.results(train: train, test: test, threads: 1)
    #expect(results[0].score == nil && results[1].score != nil)
    #expect(LinearProbe.best(results)?.learningRate == 0.1)
  }

  /// Logits are the features themselves.
  @Test func fiveGuessesAreCountedAndStrangersAreWrong() throws {
    let layer = LinearClassifier(classCount: 7, width: 7)
    for index in 0..<7 { layer.weights[index, index] = 1 }
    let rows = FloatBuffer([7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1])
    let features = FeatureRows(rows.matrix(rows: 4, columns: 7))
    let score = try #require(try layer.score(LabelledFeatures(features, [0, 4, nil, 5]), threads: 1))
    #expect(score.asked == 4 && score.right == 1 && score.amongFive == 2, "of equal ones the first five count")
    layer.weights[0, 0] = .infinity
    #expect(try layer.score(LabelledFeatures(features, [0, 4, nil, 5]), threads: 1) == nil)
  }
}
