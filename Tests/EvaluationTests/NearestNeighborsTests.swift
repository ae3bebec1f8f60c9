import Evaluation
import Numerics
import Testing

@Suite struct NearestNeighborsTests {
  /// Points on the unit circle, by angle in quarter turns.
  private func points(_ quarters: [Float]) -> FeatureRows {
    let matrix = FloatBuffer(count: quarters.count * 2).matrix(rows: quarters.count, columns: 2)
    for (row, quarter) in quarters.enumerated() {
      let (cosine, sine) = cosineAndSine(turns: Double(quarter) / 4)
      matrix[row, 0] = Float(cosine) * 3
      matrix[row, 1] = Float(sine) * 3
    }
    return FeatureRows(matrix).scaledToUnitLength()
  }

  private func accuracy(
    _ bank: [Float], _ classes: [Int], of queries: [Float], _ truth: [Int?], k: Int, threads: Int = 2
  ) throws -> Double {
    let neighbors = NearestNeighbors(counts: [k], classes: classes, classCount: 3)
    return try neighbors.score(bank: points(bank), queries: points(queries), truth: truth, threads: threads)
      .accuracies[0]
  }

  @Test func theNearestDecidesAlone() throws {
    #expect(try accuracy([0, 1, 2], [0, 1, 2], of: [0.1, 0.9, 2.2], [0, 1, 2], k: 1) == 1)
    #expect(try accuracy([0, 1, 2], [0, 1, 2], of: [0.1, 0.9, 2.2], [0, 2, 2], k: 1) == 2.0 / 3)
  }

  @Test func manyFarNeighboursDoNotOutvoteOneThatIsClose() throws {
    #expect(try accuracy([0, 1, 1, 1, 1], [0, 1, 1, 1, 1], of: [0.1], [0], k: 5) == 1)
  }

  @Test func twoCloseOnesOutvoteOneThatIsClosest() throws {
    #expect(try accuracy([0, 0.02, 0.03], [0, 1, 1], of: [0], [0], k: 1) == 1)
    #expect(try accuracy([0, 0.02, 0.03], [0, 1, 1], of: [0], [1], k: 3) == 1)
  }

  /// More queries than are compared in one product.
  @Test func everyQueryIsAsked() throws {
    let quarters = (0..<300).map { Float($0 % 2) * 2 + 0.25 }
    #expect(try accuracy([0, 2], [0, 1], of: quarters, (0..<300).map { $0 % 2 }, k: 2) == 1)
  }

  @Test func aQueryOfAClassThatTheBankLacksIsWrong() throws {
    #expect(try accuracy([0, 2], [0, 1], of: [0, 0, 2, 2], [0, nil, 1, nil], k: 1) == 0.5)
  }

  @Test func whoIsSkippedNeitherVotesNorIsAsked() throws {
    var (bank, queries) = (points([0, 0.1, 2]), points([0, 0, 2]))
    let nothing = SkippedPicture(path: "", reason: "")
    bank.skipped[0] = nothing
    queries.skipped[1] = nothing
    let neighbors = NearestNeighbors(counts: [1, 3], classes: [0, 1, 2], classCount: 3)
    let score = try neighbors.score(bank: bank, queries: queries, truth: [1, 0, 2], threads: 1)
    #expect(score.asked == 2 && score.right == [2, 2])
  }

  /// A bank of several tiles, whose votes are the same for any number of threads as for a plain sort.
  @Test(arguments: [1, 3]) func theListIsThatOfASort(threads: Int) throws {
    var state = UInt64(7)
    func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    // Few values, so that many are equally near: then the first in the bank counts.
    let similarities = (0..<2500).map { _ in Float(next() % 50) }
    for limit in [1, 7, 2499, 2500] {
      var nearest = Nearest(atMost: limit)
      for index in similarities.indices.reversed() { nearest.offer(index, similarity: similarities[index]) }
      let sorted = similarities.indices.sorted { (-similarities[$0], $0) < (-similarities[$1], $1) }
      #expect(nearest.sorted().map(\.index) == Array(sorted.prefix(limit)))
    }
    let quarters = (0..<2500).map { _ in Float(next() % 1000) / 250 }
    let classes = quarters.map { Int($0) % 3 }
    let asked = (0..<400).map { _ in Float(next() % 1000) / 250 }
    let truth = asked.map { Optional(Int($0) % 3) }
    let found = try accuracy(quarters, classes, of: asked, truth, k: 5, threads: threads)
    #expect(found == (try accuracy(quarters, classes, of: asked, truth, k: 5, threads: 1)) && found > 0.9)
  }
}
