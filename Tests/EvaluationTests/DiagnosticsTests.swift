import Evaluation
import Foundation
import Numerics
import TestSupport
import Testing

/// Figures of features without labels: exact small cases, what may not change them, and NumPy's of the same numbers.
@Suite struct DiagnosticsTests {
  private static func matrix(_ rows: Int, _ columns: Int, _ value: (Int, Int) -> Double) -> Matrix {
    let matrix = FloatBuffer(count: rows * columns).matrix(rows: rows, columns: columns)
    for row in 0..<rows { for column in 0..<columns { matrix[row, column] = Float(value(row, column)) } }
    return matrix
  }

  /// Rows of independent normal numbers, the same each time.
  private static func noise(_ rows: Int, _ columns: Int, seed: UInt64 = 1) -> Matrix {
    var random = RandomStream(RandomKey(seed: seed, purpose: .synthesis))
    return matrix(rows, columns) { _, _ in random.normal() }
  }

  /// As `formula` of Scripts/interop-diagnostics.py; picture by picture.
  private static func formula(pictures: Int, views: Int, width: Int) -> Matrix {
    matrix(pictures * views, width) { row, column in
      let (p, v, c) = (Double(row / views + 1), Double(row % views + 1), Double(column + 1))
      return sin(p * c * 0.37 + p * p * 0.11) / c + 0.2 * cos(v * 1.3 + p * c * 0.71) / c.squareRoot()
    }
  }

  private func isNear(_ value: Double?, _ expected: Double, _ tolerance: Double = 1e-4) -> Bool {
    value.map { abs($0 - expected) <= tolerance * max(1, abs(expected)) } ?? false
  }

  // MARK: RankMe

  @Test(arguments: [1, 2, 7]) func equalDirectionsAreTheirNumber(rank: Int) {
    // Each direction has a row of its own; 9 columns, of which the rest are empty.
    let features = Self.matrix(12, 9) { row, column in row == column && row < rank ? 3 : 0 }
    #expect(isNear(rankMe(features), Double(rank)))
  }

  @Test func rankMeIsBetweenOneAndTheNumberOfDirections() throws {
    // Four directions, unequal: 48 rows of the products of 48 x 4 and 4 x 16.
    let product = FloatBuffer(count: 48 * 16).matrix(rows: 48, columns: 16)
    multiply(Self.noise(48, 4), .asIs, Self.noise(4, 16, seed: 2), .asIs, into: product)
    let rank = try #require(rankMe(product))
    #expect(rank > 2 && rank < 4.001)
    // Fewer pictures than columns: no more than pictures.
    let few = try #require(rankMe(Self.noise(5, 40)))
    #expect(few > 4 && few < 5.001)
  }

  @Test func aCollapseIsOneAndNothingIsNone() {
    #expect(isNear(rankMe(Self.matrix(20, 6) { _, column in Double(column) - 2.5 }), 1))
    #expect(rankMe(Self.matrix(20, 6) { _, _ in 0 }) == 0)
    #expect(lidar(Self.matrix(20, 6) { _, _ in 1 }, views: 2) == 0)
    #expect(alphaReQ(Self.matrix(20, 6) { _, _ in 1 }) == 0)
  }

  @Test func scaleDoesNotMatter() throws {
    let features = Self.formula(pictures: 60, views: 1, width: 30)
    let larger = Self.matrix(60, 30) { 1000 * Double(features[$0, $1]) }
    #expect(isNear(rankMe(larger), try #require(rankMe(features)), 1e-6))
    #expect(isNear(alphaReQ(larger), try #require(alphaReQ(features)), 1e-6))
  }

  @Test func whatIsNotFiniteHasNoFigure() {
    for bad in [Double.nan, .infinity] {
      let features = Self.matrix(20, 4) { row, column in row == 3 && column == 1 ? bad : Double(row + column) }
      #expect(rankMe(features) == nil && alphaReQ(features) == nil && lidar(features, views: 2) == nil)
    }
  }

  // MARK: LiDAR

  /// Pictures differ along three axes, equally; views along another one.
  @Test func onlyDirectionsInWhichPicturesDifferCount() {
    func features(noise: Double) -> Matrix {
      Self.matrix(6 * 2, 8) { row, column in
        let (picture, view) = (row / 2, row % 2)
        if column < 3 { return picture / 2 == column ? (picture.isMultiple(of: 2) ? 1 : -1) : 0 }
        return column == 5 ? (view == 0 ? noise : -noise) : 0
      }
    }
    #expect(isNear(lidar(features(noise: 0), views: 2), 3))
    #expect(isNear(lidar(features(noise: 5), views: 2), 3))
    // RankMe counts the views' direction too, if it is given the views.
    #expect(isNear(rankMe(features(noise: 0)), 3))
    #expect((rankMe(features(noise: 1)) ?? 0) > 3.5)
  }

  @Test func viewsThatDifferAsPicturesDoHideThem() throws {
    // One of two directions of the pictures is drowned in its views' noise.
    let (clear, views) = (Self.noise(200, 2), Self.noise(800, 2, seed: 9))
    func features(_ noise: Float) -> Matrix {
      Self.matrix(800, 2) { row, column in
        Double(clear[row / 4, column] + (column == 1 ? noise : 0.1) * views[row, column])
      }
    }
    let both = try #require(lidar(features(0.1), views: 4))
    let one = try #require(lidar(features(30), views: 4))
    #expect(both > 1.9 && one < 1.2)
  }

  // MARK: alpha-ReQ

  @Test(arguments: [0.0, 0.5, 1, 2.5], [10, 40, 80]) func aPowerLawHasItsExponent(alpha: Double, width: Int) {
    // Rows ± along each axis: no mean, and j^-alpha as variance.
    let features = Self.matrix(2 * width, width) { row, column in
      row / 2 == column ? (row.isMultiple(of: 2) ? 1 : -1) * pow(Double(column + 1), -alpha / 2) : 0
    }
    #expect(isNear(alphaReQ(features), alpha, 1e-5))
  }

  // MARK: k-NN

  @Test func aPictureIsNoNeighbourOfItsOwn() {
    // Pairs of equal rows: with one neighbour each finds its twin. A twin of another class is wrong.
    let features = Self.matrix(6, 3) { row, column in row / 2 == column ? 1 : 0 }
    func score(_ classes: [Int?]) -> [Int] {
      let found = leaveOneOut(features, classes: classes, neighbors: 1)
      return [found.right, found.asked]
    }
    #expect(score([0, 0, 1, 1, 2, 2]) == [6, 6])
    #expect(score([0, 1, 0, 1, 0, 1]) == [0, 6])
    // Who has no class is neither asked nor votes; classes may have any numbers.
    #expect(score([90, 90, nil, nil, 7, 7]) == [4, 4])
    #expect(score([nil, nil, nil, nil, nil, 7]) == [0, 0])
  }

  // MARK: NumPy

  struct Expected: Sendable {
    let shape: (pictures: Int, views: Int, width: Int)
    let figures: (rankMe: Double, lidar: Double, alphaReQ: Double)
    /// Right of a vote of five neighbours, the picture's number modulo 3 being its class.
    let right: Int
  }

  /// What Scripts/interop-diagnostics.py prints.
  static let fromNumPy = [
    Expected(shape: (40, 3, 8), figures: (6.092935, 5.705341, 2.035992), right: 14),
    Expected(shape: (30, 4, 64), figures: (17.513288, 7.336695, 2.359034), right: 12),
    Expected(shape: (200, 4, 24), figures: (15.217288, 12.594527, 2.135523), right: 67),
    Expected(shape: (300, 2, 96), figures: (49.073523, 40.408925, 1.584429), right: 101),
  ]

  @Test(arguments: 0..<4) func matchesNumPy(index: Int) {
    let expected = Self.fromNumPy[index]
    let (pictures, views, width) = expected.shape
    let features = Self.formula(pictures: pictures, views: views, width: width)
    let flat = Self.matrix(pictures, width) { Double(features[$0 * views, $1]) }
    #expect(isNear(rankMe(flat), expected.figures.rankMe))
    #expect(isNear(lidar(features, views: views), expected.figures.lidar))
    #expect(isNear(alphaReQ(flat), expected.figures.alphaReQ))
    let unit = FloatBuffer(count: pictures * width).matrix(rows: pictures, columns: width)
    normalizeRows(flat, floor: 1e-6, into: unit)
    let found = leaveOneOut(unit, classes: (0..<pictures).map { $0 % 3 }, neighbors: 5)
    #expect(found.right == expected.right && found.asked == pictures)
  }
}
