import Evaluation
import Numerics
import Testing

@Suite struct LogisticRegressionTests {
  @Test func aBowlsBottomIsFound() throws {
    // Squares of very different weights, around 1, 2, 3, ...
    let point = FloatBuffer(count: 20).vector
    var optimizer = LBFGS()
    optimizer.gradientTolerance = 1e-4
    let outcome = try optimizer.minimize(point) { x, gradient in
      (0..<20).reduce(0.0) { sum, index in
        let (weight, away) = (Double(1 + index * index), Double(x[index]) - Double(index + 1))
        gradient[index] = Float(2 * weight * away)
        return sum + weight * away * away
      }
    }
    #expect(outcome.hasConverged && outcome.iterations < 100, "\(outcome)")
    #expect((0..<20).allSatisfy { abs(point[$0] - Float($0 + 1)) < 1e-3 }, "\(point.array)")
  }

  @Test func aBentValleyIsFollowed() throws {
    // Rosenbrock's.
    let point = FloatBuffer([-1.2, 1]).vector
    var optimizer = LBFGS()
    optimizer.gradientTolerance = 1e-3
    let outcome = try optimizer.minimize(point) { point, gradient in
      let (x, y) = (Double(point[0]), Double(point[1]))
      gradient[0] = Float(-400 * x * (y - x * x) - 2 * (1 - x))
      gradient[1] = Float(200 * (y - x * x))
      return 100 * (y - x * x) * (y - x * x) + (1 - x) * (1 - x)
    }
    #expect(outcome.hasConverged && abs(point[0] - 1) < 1e-2 && abs(point[1] - 1) < 1e-2, "\(outcome) \(point.array)")
  }

  @Test func whatHasNoBottomEndsAllTheSame() throws {
    var optimizer = LBFGS()
    optimizer.iterationsAtMost = 20
    let outcome = try optimizer.minimize(FloatBuffer([1]).vector) { point, gradient in
      gradient[0] = 1
      return Double(point[0])
    }
    #expect(!outcome.hasConverged)
    let notANumber = try optimizer.minimize(FloatBuffer([1]).vector) { point, gradient in
      gradient[0] = 1
      return .nan
    }
    #expect(!notANumber.hasConverged)
  }

  /// In doubles, as the formula is written.
  private func loss(_ layer: [Double], _ rows: FeatureRows, _ classes: [Int], _ classCount: Int, penalty: Double)
    -> (value: Double, gradient: [Double])
  {
    let width = rows.width
    var (value, gradient) = (0.0, [Double](repeating: 0, count: layer.count))
    for (place, label) in classes.enumerated() {
      let row = rows.matrix.row(at: place).array.map(Double.init)
      let logits = (0..<classCount).map { c in
        layer[classCount * width + c] + (0..<width).reduce(0) { $0 + layer[c * width + $1] * row[$1] }
      }
      let powers = logits.map { exponential($0) }
      let sum = powers.reduce(0, +)
      value += (logarithm(sum) - logits[label]) / Double(classes.count)
      for c in 0..<classCount {
        let slope = (powers[c] / sum - (label == c ? 1 : 0)) / Double(classes.count)
        for column in 0..<width { gradient[c * width + column] += slope * row[column] }
        gradient[classCount * width + c] += slope
      }
    }
    for index in 0..<classCount * width {
      value += penalty / 2 * layer[index] * layer[index]
      gradient[index] += penalty * layer[index]
    }
    return (value, gradient)
  }

  @Test(arguments: [0.1, 0.001]) func theOptimumsGradientIsZero(penalty: Double) throws {
    let data = blobs(classes: 4, each: 150, width: 5, deviation: 1)
    let features = LabelledFeatures(data.rows, data.classes)
    let fits = try [1, 3].map {
      try LogisticRegression(penalty: penalty).fit(features, classCount: 4, threads: $0)
    }
    #expect(fits[0].outcome.hasConverged && fits[0].outcome == fits[1].outcome, "\(fits[0].outcome)")
    #expect(fits[0].classifier.parameters.array == fits[1].classifier.parameters.array)
    let truth = loss(
      fits[0].classifier.parameters.array.map(Double.init), data.rows, data.classes, 4, penalty: penalty)
    #expect(abs(truth.value - fits[0].outcome.value) < 1e-6 * truth.value)
    let steepest = truth.gradient.map { abs($0) }.max() ?? .nan
    #expect(steepest < 2e-5, "\(steepest)")
  }

  /// Rows that are nearly alike, as those of a network that has learned little: floats do not resolve how far the last
  /// steps fall.
  @Test(arguments: [0.01, 0.0001]) func nearTheMinimumSlopesDecide(penalty: Double) throws {
    let data = blobs(classes: 10, each: 1, width: 30, deviation: 0.1)
    for row in 0..<10 {
      scale(data.rows.matrix.row(at: row), by: 0.05)
      data.rows.matrix[row, 0] += 3
    }
    let fit = try LogisticRegression(penalty: penalty)
      .fit(LabelledFeatures(data.rows.scaledToUnitLength(), data.classes), classCount: 10, threads: 1)
    #expect(fit.outcome.hasConverged, "\(fit.outcome)")
  }

  @Test func whereItBeginsDoesNotMatter() throws {
    let data = blobs(classes: 3, each: 50, width: 4, deviation: 1)
    let features = LabelledFeatures(data.rows, data.classes)
    let far = LinearClassifier(classCount: 3, width: 4)
    fill(far.parameters.vector, with: 3)
    far.weights[1, 2] = -4
    let regression = LogisticRegression(penalty: 0.01)
    let (one, other) = (
      try regression.fit(features, classCount: 3, threads: 1).outcome.value,
      try regression.fit(features, classCount: 3, from: far, threads: 1).outcome.value
    )
    #expect(abs(one - other) < 1e-6, "\(one) \(other)")
  }
}

@Suite struct LowShotTests {
  private func truth(_ data: (rows: FeatureRows, classes: [Int])) -> LabelledFeatures<Int?> {
    LabelledFeatures(data.rows, data.classes.map { $0 })
  }

  @Test func moreLabelsAreNoWorseAndDrawsDiffer() throws {
    let train = blobs(classes: 5, each: 60, width: 8, deviation: 1.2)
    let test = blobs(classes: 5, each: 40, width: 8, deviation: 1.2, seed: 2)
    let lowShot = LowShot(penalties: [0.001, 0.1, 0.01], classCount: 5)
    func best(_ each: Int, draws: Int) throws -> LowShot.Result {
      let seen = (0..<draws).map {
        LabelSplit.balanced(train.classes, classCount: 5, each: each, seed: 0, draw: $0).places
      }
      let results = try lowShot.results(
        train: LabelledFeatures(train.rows, train.classes), draws: seen, test: truth(test), threads: 2)
      #expect(results.map(\.penalty) == [0.1, 0.01, 0.001] && results.allSatisfy { $0.scores.count == draws })
      return try #require(LowShot.best(results))
    }
    let (one, many) = (try best(1, draws: 4), try best(30, draws: 1))
    #expect(many.topOne.mean > one.topOne.mean && one.topOne.mean > 0.3)
    #expect(one.topOne.deviation > 0 && many.topOne.deviation == 0)
  }

  @Test func asManyOfEachClassAreDrawn() {
    let classes = (0..<90).map { [0, 1, 1, 2, 2, 2, 2, 2, 2][$0 % 9] }
    let (few, small) = LabelSplit.balanced(classes, classCount: 4, each: 8, seed: 1, draw: 0)
    #expect((0..<4).map { label in few.count { classes[$0] == label } } == [8, 8, 8, 0] && small == [3])
    #expect(few == few.sorted() && Set(few).count == few.count)
    let (more, _) = LabelSplit.balanced(classes, classCount: 4, each: 12, seed: 1, draw: 0)
    #expect(Set(few).isSubset(of: more) && more.count == 10 + 12 + 12)
    for (seed, draw) in [(2, 0), (1, 1)] as [(UInt64, Int)] {
      #expect(LabelSplit.balanced(classes, classCount: 4, each: 8, seed: seed, draw: draw).places != few)
    }
    #expect(LabelSplit.each(share: 0.01, pictures: 1_281_167, classCount: 1000) == 13)
    #expect(LabelSplit.each(share: 0.01, pictures: 20, classCount: 2) == 1)
  }

  @Test func aListNamesItsPictures() throws {
    let folder = PictureFolder()
    for path in ["n01/n01_1.jpg", "n01/n01_2.jpg", "n02/n02_1.jpg", "n02/same.jpg", "n01/same.jpg"] {
      try folder.put(path, [1])
    }
    let pictures = try PictureSelection(folder.root)
    func named(_ text: String) throws -> (paths: [String], missing: [String]) {
      let found = try LabelSplit.named(text, in: pictures, file: "list.txt")
      return (found.places.map { pictures.path($0) }, found.missing)
    }
    let found = try named("n02_1.jpg\n\n n01/n01_2.jpg \r\nn03_9.jpg\ntrain/n01/n01_1.jpg\nn02/same.jpg\n")
    #expect(found.paths == ["n01/n01_2.jpg", "n02/n02_1.jpg", "n02/same.jpg"])
    #expect(found.missing == ["n03_9.jpg", "train/n01/n01_1.jpg"])
    #expect(
      throws: EvaluationError.ambiguousName(
        file: "list.txt", name: "same.jpg", first: "n01/same.jpg", second: "n02/same.jpg")
    ) { try named("same.jpg") }
    #expect(throws: EvaluationError.emptySplit(file: "list.txt", folder: folder.root)) { try named("a.jpg\n") }
  }
}
