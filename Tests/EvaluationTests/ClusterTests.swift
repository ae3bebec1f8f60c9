import Evaluation
import Numerics
import Testing

@Suite struct ClusterTests {
  @Test func groupsThatLieApartAreFound() throws {
    let data = blobs(classes: 6, each: 400, width: 10, deviation: 0.05)
    let results = try [1, 3].map { try KMeans(clusters: 6, restarts: 4, seed: 5).best(of: data.rows, threads: $0) }
    #expect(results[0].assignments == results[1].assignments && results[0].inertia == results[1].inertia)
    #expect(MutualInformation(results[0].assignments, data.classes).accuracy == 1)
    // 10 columns of variance 0.0025 each.
    #expect(abs(results[0].inertia / (2400 * 10 * 0.0025) - 1) < 0.1)
  }

  @Test func theTightestRestartCounts() throws {
    let data = blobs(classes: 12, each: 20, width: 2, deviation: 0.3)
    let one = try KMeans(clusters: 12, restarts: 1, seed: 3).best(of: data.rows, threads: 2)
    let many = try KMeans(clusters: 12, restarts: 12, seed: 3).best(of: data.rows, threads: 2)
    #expect(many.inertia < one.inertia)
  }

  @Test func anyRowsAreGrouped() throws {
    // As many groups as rows; and rows that are all alike, where all groups but one are empty.
    let data = blobs(classes: 5, each: 1, width: 3, deviation: 0.1)
    let apart = try KMeans(clusters: 5, restarts: 1).best(of: data.rows, threads: 1)
    #expect(Set(apart.assignments).count == 5 && apart.inertia < 1e-4)
    let alike = FeatureRows(FloatBuffer([Float](repeating: 0.5, count: 40)).matrix(rows: 20, columns: 2))
    let together = try KMeans(clusters: 3, restarts: 2).best(of: alike, threads: 1)
    #expect(Set(together.assignments).count == 1 && together.inertia < 1e-6)
  }
}

@Suite struct MutualInformationTests {
  @Test func equalGroupingsAgreeWhateverTheirNames() {
    let agreement = MutualInformation([0, 0, 1, 1, 2], [2, 2, 0, 0, 1])
    #expect(abs(agreement.normalized - 1) < 1e-12 && abs(agreement.adjusted - 1) < 1e-12 && agreement.accuracy == 1)
    #expect(MutualInformation([0, 0], [0, 0]).normalized == 1 && MutualInformation([0, 0], [1, 1]).adjusted == 1)
  }

  @Test func groupingsThatKnowNothingOfEachOther() {
    let agreement = MutualInformation([0, 0, 1, 1], [0, 1, 0, 1])
    #expect(agreement.normalized < 1e-12 && agreement.accuracy == 0.5 && agreement.adjusted < 0)
    #expect(MutualInformation([0, 0, 0, 0], [0, 1, 0, 1]).normalized == 0)
  }

  /// What scikit-learn 1.9 gives.
  @Test(arguments: [
    ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2], [0.5158037429793889, 0.2987924581708901]),
    ([0, 1, 2, 0, 1, 2, 0, 1, 2, 3], [1, 1, 0, 0, 2, 2, 1, 1, 0, 0], [0.40701345566450114, 0.09381891698967457]),
  ])
  func figuresAreScikitLearns(first: [Int], second: [Int], figures: [Double]) {
    let agreement = MutualInformation(first, second)
    #expect(abs(agreement.normalized - figures[0]) < 1e-9, "\(agreement.normalized)")
    #expect(abs(agreement.adjusted - figures[1]) < 1e-9, "\(agreement.adjusted)")
  }

  /// Against all ways to name the groups.
  @Test func theBestNamesAreFound() {
    var stream = RandomStream(RandomKey(seed: 4, purpose: .evaluation))
    for (groups, classes) in [(5, 5), (5, 3), (3, 5), (1, 4)] {
      let first = (0..<60).map { _ in stream.integer(below: groups) }
      let second = (0..<60).map { _ in stream.integer(below: classes) }
      let size = max(groups, classes)
      func best(_ named: [Int]) -> Int {
        if named.count == size { return zip(first, second).count { named[$0] == $1 } }
        return (0..<size).filter { !named.contains($0) }.map { best(named + [$0]) }.max() ?? 0
      }
      #expect(MutualInformation(first, second).accuracy == Double(best([])) / 60, "\(groups) \(classes)")
    }
  }
}
