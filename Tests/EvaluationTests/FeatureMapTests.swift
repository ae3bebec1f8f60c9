import Evaluation
import Foundation
import Numerics
import Testing

@Suite struct FeatureMapTests {
  private func features(_ rows: [[Float]]) -> FeatureRows {
    FeatureRows(FloatBuffer(rows.flatMap { $0 }).matrix(rows: rows.count, columns: rows[0].count))
  }

  /// Points on a plane in nine dimensions come back with their distances, and with the variance along each direction.
  @Test func aPlaneIsFoundAgain() {
    // Two directions at right angles, of unit length.
    let (u, v): ([Float], [Float]) = ([0.6, 0, 0.8, 0, 0, 0, 0, 0, 0], [0, 0.28, 0, 0.96, 0, 0, 0, 0, 0])
    let places = (0..<600).map { (index: Int) -> (Float, Float) in
      let (across, up) = (index * 37 % 101 - 50, index * 53 % 97 - 48)
      return (Float(across) * 0.06, Float(up) / 48)
    }
    let found = PrincipalComponents(
      of: features(
        places.map { (a: Float, b: Float) -> [Float] in
          (0..<9).map { (column: Int) -> Float in 1 + a * u[column] + b * v[column] }
        }))
    #expect(found.points.map(\.place) == Array(0..<600))
    #expect(abs(found.shares.x + found.shares.y - 1) < 1e-4 && found.shares.x > found.shares.y)
    for (first, second) in [(0, 1), (5, 99), (7, 400), (123, 321)] {
      let (a, b) = (found.points[first], found.points[second])
      let distance = hypot(a.x - b.x, a.y - b.y)
      let (p, q) = (places[first], places[second])
      let expected = hypot(Double(p.0 - q.0), Double(p.1 - q.1))
      #expect(abs(distance - expected) < 1e-3)
    }
    // The first axis is the wider one's.
    #expect(zip(found.points, places).allSatisfy { abs(abs($0.x) - Double(abs($1.0))) < 0.2 })
  }

  @Test func featuresThatAreAllTheSameHaveNoDirection() {
    let found = PrincipalComponents(of: features(.init(repeating: [1, 2, 2], count: 5)))
    #expect(found.shares.x < 1e-6 && found.shares.y < 1e-6)
    #expect(found.points.allSatisfy { abs($0.x) < 1e-6 && abs($0.y) < 1e-6 })
  }

  @Test func confusionsAreCountedByTruthAndAnswer() {
    var matrix = ConfusionMatrix(names: ["a", "b", "c"])
    for (truth, answer) in [(0, 0), (0, 1), (1, 2), (1, 2), (2, 2)] { matrix.add(truth: truth, answer: answer) }
    #expect(matrix.counts == [[1, 1, 0], [0, 0, 2], [0, 0, 1]])
    #expect(matrix.asked == 5 && matrix.right == 2)
    let most = matrix.confusions(atMost: 9)
    #expect(most.map { [$0.truth, $0.answer, $0.count] } == [[1, 2, 2], [0, 1, 1]])
  }

  /// The answers are what the score counts.
  @Test func answersAreWhatIsScored() throws {
    var stream = RandomStream(RandomKey(seed: 2, purpose: .synthesis))
    func rows(_ count: Int) -> FeatureRows {
      features((0..<count).map { _ in (0..<6).map { _ in Float(stream.normal()) } }).scaledToUnitLength()
    }
    let (bank, queries) = (rows(300), rows(150))
    let classes = (0..<300).map { $0 % 4 }
    let truth = (0..<150).map { $0 % 5 == 4 ? nil : $0 % 4 }
    let neighbors = NearestNeighbors(counts: [3, 20], classes: classes, classCount: 4)
    let score = try neighbors.score(bank: bank, queries: queries, truth: truth, threads: 2)
    let answers = try neighbors.answers(bank: bank, queries: queries, threads: 2)
    let right = zip(answers, truth).count { answer, truth in truth != nil && answer?.voted == truth }
    #expect(Double(right) / 150 == score.accuracies[1])
    for (query, answer) in answers.enumerated() {
      let cosines = (answer?.neighbors ?? []).map(\.cosine)
      #expect(cosines.count == 20 && cosines == cosines.sorted(by: >), "query \(query)")
    }
  }
}
