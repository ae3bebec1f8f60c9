import Evaluation
import Numerics
import TestSupport
import Testing

@Suite struct LabelledFeaturesTests {
  private let folder = PictureFolder()

  private func rows(_ count: Int, without skipped: [Int]) -> FeatureRows {
    let matrix = FloatBuffer((0..<2 * count).map(Float.init)).matrix(rows: count, columns: 2)
    var rows = FeatureRows(matrix)
    for place in skipped { rows.skipped[place] = SkippedPicture(path: "\(place)", reason: "") }
    return rows
  }

  private func pictures(_ count: Int) throws -> PictureSelection {
    for index in 0..<count { try folder.put("\(index).jpg", [1]) }
    return try PictureSelection(folder.root)
  }

  @Test func whoIsSkippedIsGoneAndTheOthersKeepTheirLabels() throws {
    let features = try LabelledFeatures(rows(5, without: [0, 3]), ["a", "b", "c", "d", "e"], of: pictures(5))
    #expect(features.labels == ["b", "c", "e"] && features.places == [1, 2, 4])
    #expect(features.rows.matrix.array == [2, 3, 4, 5, 8, 9] && features.rows.skipped.isEmpty)
    #expect(features.skipped.map(\.path) == ["0", "3"])
    let two = features.subset([2, 0])
    #expect(two.labels == ["e", "b"] && two.rows.matrix.array == [8, 9, 2, 3])
  }

  @Test func picturesHavePlacesAmongOthersOfTheirDataSet() throws {
    let all = try pictures(5)
    let some = PictureSelection(all.dataSet, indices: [4, 1])
    #expect(some.places(in: all) == [4, 1] && all.places(in: some) == [nil, 1, nil, nil, 0])
    let others = PictureFolder()
    try others.put("0.jpg", [1])
    #expect(try PictureSelection(others.root).places(in: all) == nil)
  }

  @Test func aTarWhoseClassesAreOfNoPictureHasNone() throws {
    var tar = TarBytes()
    tar.add("images/1.jpg", [1])
    tar.add("labels/1.cls", [UInt8(ascii: "7")])
    try folder.put("classes.tar", tar.ended)
    #expect(throws: EvaluationError.noClasses(folder: folder.root + "/classes.tar")) {
      try LabelledPictures(folder.root + "/classes.tar")
    }
  }

  @Test func nobodyLeftIsAnError() throws {
    let pictures = try pictures(2)
    #expect(throws: EvaluationError.nothingLeft(folder: folder.root, skipped: 2, first: "0: ")) {
      try LabelledFeatures(rows(2, without: [0, 1]), [1, 2], of: pictures)
    }
  }

  @Test func rowsAreAppendedWithTheirSkippedOnes() {
    let all = rows(2, without: [1]).appending(rows(3, without: [0]))
    #expect(all.count == 5 && all.matrix.array == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5])
    #expect(all.skippedInOrder.count == 2 && all.skipped.keys.sorted() == [1, 2])
  }

  @Test func unitLengthLeavesZerosAlone() {
    let unit = FeatureRows(FloatBuffer([3, 4, 0, 0]).matrix(rows: 2, columns: 2)).scaledToUnitLength().matrix.array
    #expect(abs(unit[0] - 0.6) < 1e-6 && abs(unit[1] - 0.8) < 1e-6 && unit[2...] == [0, 0])
  }
}
