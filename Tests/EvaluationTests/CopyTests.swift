import Evaluation
import Foundation
import Numerics
import Testing

@Suite struct CopyTests {
  private let folder = PictureFolder()

  private func pairs(originals: [String], copies: [String]) throws -> CopyPairs {
    for path in originals { try folder.put("originals/\(path)", [1]) }
    for path in copies { try folder.put("copies/\(path)", [1]) }
    return try CopyPairs(originals: folder.root + "/originals", copies: folder.root + "/copies")
  }

  @Test func aCopyBelongsToAnOriginalByFolderNameOrNumber() throws {
    let pairs = try pairs(
      originals: ["200000.jpg", "200100.jpg", "sea.jpg"],
      copies: [
        "200001.jpg", "200199.jpg", "crops/10/200100.jpg", "sea/any.jpg", "strong/sea/7.jpg", "sea.jpg", "200201.jpg",
        "other.jpg",
      ])
    let found = Dictionary(
      uniqueKeysWithValues: (0..<pairs.copies.count).map {
        (pairs.copies.path($0), "\(pairs.kinds[$0]) of \(pairs.originals.path(pairs.owners[$0]))")
      })
    #expect(
      found == [
        "200001.jpg": ". of 200000.jpg", "200199.jpg": ". of 200100.jpg",
        "crops/10/200100.jpg": "crops/10 of 200100.jpg",
        "sea/any.jpg": ". of sea.jpg", "strong/sea/7.jpg": "strong of sea.jpg", "sea.jpg": ". of sea.jpg",
      ])
    #expect(Set(pairs.strangers) == ["\(folder.root)/copies/200201.jpg", "\(folder.root)/copies/other.jpg"])
  }

  @Test func namesThatSayNothingAreRefused() throws {
    #expect(
      throws: EvaluationError.noCopies(originals: folder.root + "/originals", copies: folder.root + "/copies")
    ) { try pairs(originals: ["a.jpg"], copies: ["b.jpg"]) }
    #expect(
      throws: EvaluationError.ambiguousName(
        file: folder.root + "/originals", name: "a", first: "a.jpg", second: "x/a.jpg")
    ) { try pairs(originals: ["x/a.jpg"], copies: ["a.jpg"]) }
  }

  @Test func eachWayToAlterHasItsFigure() throws {
    let pairs = try pairs(originals: ["a.jpg", "b.jpg"], copies: ["blur/a.jpg", "blur/b.jpg", "crop/b.jpg"])
    // The bank: both originals and a distractor, which is nearer to the cropped copy than its original is.
    let bank = FeatureRows(FloatBuffer([1, 0, 0, 1, 0.8, 0.6]).matrix(rows: 3, columns: 2))
    let copies = FeatureRows(FloatBuffer([1, 0, 0, 1, 0.6, 0.8]).matrix(rows: 3, columns: 2))
    let rows = try CopyDetection.rows(pairs, copies: copies, bank: bank, threads: 2)
    #expect(rows.map(\.kind) == ["blur", "crop", nil])
    // At the second place the trapezoid is (0 + 1/2) / 2.
    #expect(rows.map(\.figures.meanAveragePrecision) == [1, 0.25, 2.25 / 3])
    #expect(rows.map(\.figures.queries) == [2, 1, 3])
  }

  /// Whitened features have no mean and all the same variance, and nothing in common.
  @Test func whiteningLeavesNoCorrelation() throws {
    var stream = RandomStream(RandomKey(seed: 6, purpose: .evaluation))
    let matrix = FloatBuffer(count: 3000 * 4).matrix(rows: 3000, columns: 4)
    for row in 0..<3000 {
      let (a, b, c, d) = (stream.normal(), stream.normal(), stream.normal(), stream.normal())
      for (column, value) in [3 + 5 * a, a + 0.1 * b, b - c, 0.2 * d + a].enumerated() {
        matrix[row, column] = Float(value)
      }
    }
    let whitened = try Whitening(FeatureRows(matrix))(FeatureRows(matrix)).matrix
    for one in 0..<4 {
      let mean = (0..<3000).reduce(0.0) { $0 + Double(whitened[$1, one]) } / 3000
      #expect(abs(mean) < 1e-3, "\(mean)")
      for other in 0..<4 {
        let product = (0..<3000).reduce(0.0) { $0 + Double(whitened[$1, one]) * Double(whitened[$1, other]) } / 3000
        #expect(abs(product - (one == other ? 1 : 0)) < 1e-2, "\(one) \(other) \(product)")
      }
    }
  }

  @Test func whatCannotBeLearnedFromIsRefused() {
    let one = FeatureRows(FloatBuffer([1, 2]).matrix(rows: 1, columns: 2))
    let alike = FeatureRows(FloatBuffer([1, 2, 1, 2, 1, 2]).matrix(rows: 3, columns: 2))
    #expect(throws: EvaluationError.noWhitening(pictures: 1)) { try Whitening(one) }
    #expect(throws: EvaluationError.noWhitening(pictures: 3)) { try Whitening(alike) }
  }
}
