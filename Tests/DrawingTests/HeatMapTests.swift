import Drawing
import Testing
import Vision

@Suite struct HeatMapTests {
  @Test func theMassIsTheFewestFieldsThatHaveIt() {
    let map = HeatMap(columns: 3, rows: 2, values: [0.1, 0.3, 0.05, 0.25, 0.1, 0.2])
    #expect(map.mass(0.29).values == [0, 1, 0, 0, 0, 0])
    #expect(map.mass(0.31).values == [0, 1, 0, 1, 0, 0])
    #expect(map.mass(0.6).values == [0, 1, 0, 1, 0, 1])
    #expect(map.mass(1).values == [1, 1, 1, 1, 1, 1])
  }

  @Test func ofEqualFieldsTheFirstCountAndOfNoneAllDo() {
    #expect(HeatMap(columns: 4, rows: 1, values: [1, 1, 1, 1]).mass(0.5).values == [1, 1, 0, 0])
    #expect(HeatMap(columns: 2, rows: 1, values: [0, 0]).mass(0.5).values == [1, 1])
  }

  @Test func fieldsLieWhereTheirPatchesDo() {
    let map = HeatMap(columns: 2, rows: 2, values: [1, 2, 3, 4])
    #expect(map.scaled(width: 4, height: 4, .nearest) == [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4])
    // Linear between middles, level beyond the outermost.
    #expect(map.scaled(width: 4, height: 2, .bilinear) == [1, 1.25, 1.75, 2, 3, 3.25, 3.75, 4])
    #expect(HeatMap(columns: 1, rows: 1, values: [7]).scaled(width: 3, height: 1, .bilinear) == [7, 7, 7])
  }

  @Test func heatIsBrightestWhereTheValueIsLargest() {
    let grey = Picture(width: 3, height: 1, pixels: .init(repeating: 128, count: 9))
    let drawn = HeatMap(columns: 3, rows: 1, values: [0, 0.5, 1]).overlaid(on: grey, .nearest)
    let sums = (0..<3).map { (place: Int) -> Int in
      let start = 3 * place
      return drawn.pixels[start..<start + 3].reduce(0) { $0 + Int($1) }
    }
    #expect(sums[0] < sums[1] && sums[1] < sums[2], "\(sums)")
    // Nothing to see is no division by zero.
    #expect(HeatMap(columns: 3, rows: 1, values: [0, 0, 0]).overlaid(on: grey).width == 3)
  }

  @Test func whatIsCutOutKeepsItsPixels() {
    let picture = Picture(width: 4, height: 2, pixels: (0..<24).map { UInt8($0 * 10) })
    let cut = HeatMap(columns: 2, rows: 1, values: [0, 1]).cutOut(of: picture)
    for y in 0..<2 {
      let row = 12 * y
      let (left, right) = (row..<row + 6, row + 6..<row + 12)
      #expect(cut.pixels[right] == picture.pixels[right])
      #expect(cut.pixels[left].allSatisfy { $0 >= 200 })
    }
  }
}
