import Evaluation
import Foundation
import Numerics
import Testing

@Suite struct RankingTests {
  private func ranking(_ similarities: [Float], _ relevance: (Int) -> Relevance) -> Ranking {
    similarities.withUnsafeBufferPointer { Ranking($0, relevance) }
  }

  /// Positions are those of a plain sort of what is no junk.
  @Test func positionsAreThoseOfASort() {
    var stream = RandomStream(RandomKey(seed: 1, purpose: .evaluation))
    for values in [3, 1000] {
      let similarities = (0..<200).map { _ in Float(stream.integer(below: values)) }
      let roles = (0..<200).map { _ in [Relevance.relevant, .irrelevant, .irrelevant, .junk][stream.integer(below: 4)] }
      let sorted = similarities.indices.filter { roles[$0] != .junk }
        .sorted { (-similarities[$0], $0) < (-similarities[$1], $1) }
      let expected = sorted.indices.filter { roles[sorted[$0]] == .relevant }
      #expect(ranking(similarities) { roles[$0] }.positions == expected)
    }
  }

  @Test func precisionsAreAsDefined() {
    let ranking = Ranking(positions: [0, 2, 5])
    #expect(abs(ranking.averagePrecision - (1 + 2.0 / 3 + 3.0 / 6) / 3) < 1e-12)
    // Of four, one of which was not ranked.
    let areas = [(1.0 + 1) / 2, (1.0 / 2 + 2.0 / 3) / 2, (2.0 / 5 + 3.0 / 6) / 2]
    #expect(abs(ranking.trapezoidalAveragePrecision(relevant: 4) - areas.reduce(0, +) / 4) < 1e-12)
    #expect([1, 2, 3, 5, 10].map { ranking.precision(at: $0) } == [1, 0.5, 2.0 / 3, 0.4, 0.5])
    #expect(Ranking(positions: []).averagePrecision == 0 && Ranking(positions: []).precision(at: 5) == 0)
  }
}

@Suite struct RetrievalTests {
  /// Points on the unit circle, by angle in quarter turns.
  private func points(_ quarters: [Double]) -> FeatureRows {
    let matrix = FloatBuffer(count: quarters.count * 2).matrix(rows: quarters.count, columns: 2)
    for (row, quarter) in quarters.enumerated() {
      let (cosine, sine) = cosineAndSine(turns: quarter / 4)
      (matrix[row, 0], matrix[row, 1]) = (Float(cosine), Float(sine))
    }
    return FeatureRows(matrix)
  }

  @Test func picturesOfTheSameClassAreRelevant() throws {
    // From 0 on: class 0 at the first and third place.
    let retrieval = Retrieval(queries: points([0, 0, 1]), bank: points([0.1, 0.2, 0.3, 1]))
    let figures = try retrieval.byClass([0, 1, 0, 1], truth: [0, 1, nil], threads: 2)
    #expect(figures.queries == 2 && figures.withoutRelevant == 1)
    #expect(abs(figures.meanAveragePrecision - ((1 + 2.0 / 3) / 2 + (1.0 / 2 + 2.0 / 4) / 2) / 2) < 1e-12)
    #expect(figures.meanPrecisions[0] == 0.5)
  }

  @Test func noPictureFindsItself() throws {
    let all = points([0, 0.1, 2, 2.1, 3])
    let figures = try Retrieval(queries: all, bank: all)
      .byClass([0, 0, 1, 1, 2], truth: [0, 0, 1, 1, 2], own: [0, 1, 2, 3, 4], threads: 1)
    #expect(figures.meanAveragePrecision == 1 && figures.queries == 4, "the only one of its class has nothing to find")
    #expect(figures.withoutRelevant == 1)
    // Some of the pictures ask.
    let some = try Retrieval(queries: points([2, 0]), bank: all)
      .byClass([0, 1, 1, 2, 2], truth: [1, 0], own: [2, 0], threads: 1)
    #expect(some.queries == 1 && some.withoutRelevant == 1 && some.meanPrecisions[0] == 0)
  }

  /// Many queries, and a bank whose tiles are cut otherwise than queries are.
  @Test func threadsDecideNothing() throws {
    let (bank, queries) = (
      blobs(classes: 9, each: 50, width: 4, deviation: 1), blobs(classes: 9, each: 40, width: 4, deviation: 1, seed: 3)
    )
    let retrieval = Retrieval(
      queries: queries.rows.scaledToUnitLength(), bank: bank.rows.scaledToUnitLength())
    let figures = try [1, 4].map {
      try retrieval.byClass(bank.classes, truth: queries.classes.map { $0 }, threads: $0)
    }
    #expect(figures[0] == figures[1] && figures[0].queries == 360)
    #expect((0.15..<0.95).contains(figures[0].meanAveragePrecision))
  }

  private let folder = PictureFolder()

  private func truth(_ json: String) throws -> RetrievalGroundTruth {
    try folder.put("truth.json", Array(json.utf8))
    return try RetrievalGroundTruth(folder.root + "/truth.json")
  }

  /// Junk is taken out; what is relevant to one level is junk to the other.
  @Test func levelsAreThePublishedOnes() throws {
    let truth = try truth(
      #"{"imlist": ["a", "b", "c", "d", "e"], "qimlist": ["q"], "gnd": [{"easy": [1], "hard": [3], "junk": [0], "bbx": [1]}]}"#
    )
    // The order is a, b, c, d, e.
    let found = try Retrieval(queries: points([0]), bank: points([0.1, 0.2, 0.3, 0.4, 0.5]))
      .byGroundTruth(truth, threads: 1)
    #expect(found.map(\.level) == [.easy, .medium, .hard])
    let precisions = found.map(\.figures.meanAveragePrecision)
    // Easy: b c e; medium: b c d e; hard: c d e.
    let expected: [Double] = [1, (1 + (1.0 / 2 + 2.0 / 3) / 2) / 2, (0.0 + 1.0 / 2) / 2]
    #expect(zip(precisions, expected).allSatisfy { abs($0 - $1) < 1e-12 }, "\(precisions)")
    let atDepths: [[Double]] = [[1, 1, 1], [1, 2.0 / 3, 2.0 / 3], [0, 0.5, 0.5]]
    #expect(found.map(\.figures.meanPrecisions) == atDepths)
  }

  @Test func aQueryWithNothingOfALevelIsNoPartOfItsMean() throws {
    let truth = try truth(
      #"{"imlist": ["a", "b"], "qimlist": ["q", "r"], "gnd": [{"easy": [0], "hard": [], "junk": []}, {"easy": [], "hard": [1], "junk": []}]}"#
    )
    let found = try Retrieval(queries: points([0, 1]), bank: points([0.1, 0.9])).byGroundTruth(truth, threads: 1)
    #expect(found.map(\.figures.queries) == [1, 2, 1] && found.map(\.figures.withoutRelevant) == [1, 0, 1])
    #expect(found.map(\.figures.meanAveragePrecision) == [1, 1, 1])
  }

  @Test(arguments: [
    ("\u{80}", "it is no JSON object of lists"), ("[]", "it is no JSON object of lists"),
    (#"{"imlist": ["a"], "qimlist": ["q"]}"#, "it has no 'gnd'"),
    (#"{"imlist": ["a"], "qimlist": ["q"], "gnd": [{"easy": [], "junk": []}]}"#, "it has no 'hard'"),
    (#"{"imlist": ["a"], "qimlist": ["q"], "gnd": []}"#, "it has 1 queries and the truth about 0"),
    (#"{"imlist": [], "qimlist": ["q"], "gnd": []}"#, "it names no pictures, or no queries"),
    (
      #"{"imlist": ["a"], "qimlist": ["q"], "gnd": [{"easy": [1], "hard": [], "junk": []}]}"#,
      "query 0 names picture 1 of 1"
    ),
  ])
  func whatIsNoGroundTruthIsRefused(json: String, reason: String) throws {
    let error = #expect(throws: EvaluationError.self) { try truth(json) }
    #expect(error == .groundTruth(file: folder.root + "/truth.json", reason: reason))
  }

  @Test func aPickleIsSaidToBeOne() throws {
    try folder.put("truth.json", [0x80, 4, 0x95])
    let error = #expect(throws: EvaluationError.self) { try RetrievalGroundTruth(folder.root + "/truth.json") }
    #expect(error.map { "\($0)".contains("it is a pickle") && "\($0)".contains("json.dump(pickle.load") } == true)
  }

  @Test func itsPicturesAreFoundAtAnyDepthAndMissingOnesNamed() throws {
    let truth = try truth(
      #"{"imlist": ["b_1", "a_1"], "qimlist": ["a_1"], "gnd": [{"easy": [], "hard": [], "junk": []}]}"#)
    try folder.put("jpg/deep/a_1.jpg", [1])
    let missing = #expect(throws: EvaluationError.self) {
      try truth.selections(in: folder.root + "/jpg", file: "truth.json")
    }
    #expect(missing == .missingPictures(folder: folder.root + "/jpg", names: ["b_1"]))
    try folder.put("jpg/b_1.JPEG", [1])
    try folder.put("jpg/other.jpg", [1])
    let (bank, queries) = try truth.selections(in: folder.root + "/jpg", file: "truth.json")
    #expect((0..<2).map { bank.path($0) } == ["b_1.JPEG", "deep/a_1.jpg"] && queries.path(0) == "deep/a_1.jpg")
    try folder.put("jpg/again/a_1.jpg", [1])
    #expect(throws: EvaluationError.self) { try truth.selections(in: folder.root + "/jpg", file: "truth.json") }
  }

  @Test func namesWithFoldersAndEndingsAreOnePictureEachOrAnError() throws {
    func truth(_ names: String) throws -> RetrievalGroundTruth {
      try self.truth(#"{"imlist": [\#(names)], "qimlist": ["1"], "gnd": [{"easy": [], "hard": [], "junk": []}]}"#)
    }
    try folder.put("jpg/a/1.jpg", [1])
    try folder.put("jpg/b/2.jpg", [1])
    let (bank, _) = try truth(#""a/1.jpg", "b/2.jpg""#).selections(in: folder.root + "/jpg", file: "truth.json")
    #expect((0..<2).map { bank.path($0) } == ["a/1.jpg", "b/2.jpg"])
    let alike = #expect(throws: EvaluationError.self) {
      try truth(#""a/1.jpg", "b/1.jpg""#).selections(in: folder.root + "/jpg", file: "truth.json")
    }
    #expect(
      alike == .groundTruth(file: "truth.json", reason: "names in 'imlist' differ in folders or endings alone"))
    try folder.put("jpg/b/1.jpg", [1])
    let twice = #expect(throws: EvaluationError.self) {
      try truth(#""a/1.jpg", "b/2.jpg""#).selections(in: folder.root + "/jpg", file: "truth.json")
    }
    #expect(twice == .ambiguousName(file: "truth.json", name: "1", first: "a/1.jpg", second: "b/1.jpg"))
  }
}
