import Testing
import Vision

@Suite struct ResamplingTests {
  struct Case: Sendable {
    var region: Region
    var size: Int
  }

  /// Enlarged, shrunk, shrunk in one direction, columns first, at the edges, one pixel.
  static let cases = [
    Case(region: Region(top: 0, left: 0, height: 19, width: 26), size: 40),
    Case(region: Region(top: 2, left: 3, height: 16, width: 20), size: 7),
    Case(region: Region(top: 1, left: 0, height: 8, width: 26), size: 12),
    Case(region: Region(top: 0, left: 20, height: 19, width: 6), size: 5),
    Case(region: Region(top: 18, left: 25, height: 1, width: 1), size: 3),
  ]

  @Test(arguments: cases) func isCloseToExactArithmetic(_ given: Case) throws {
    let picture = try Fixture.picture()
    var resampler = Resampler()
    let found = resampler.resize(given.region, of: picture, to: given.size)
    let (mean, largest) = difference(found.pixels, exact(given.region, of: picture, to: given.size))
    #expect(mean < 1)
    #expect(largest <= 12)
  }

  @Test func theWholePictureAtItsOwnSizeIsItself() {
    let picture = Picture(width: 5, height: 5, pixels: (0..<75).map { UInt8($0 * 3) })
    var resampler = Resampler()
    #expect(resampler.resize(Region(top: 0, left: 0, height: 5, width: 5), of: picture, to: 5) == picture)
  }

  @Test func scratchLeavesNoTrace() throws {
    let picture = try Fixture.picture()
    var used = Resampler()
    for given in Self.cases {
      var fresh = Resampler()
      let expected = fresh.resize(given.region, of: picture, to: given.size)
      #expect(used.resize(given.region, of: picture, to: given.size) == expected)
    }
  }

  /// Both passes in Double at once, rounded at the end.
  private func exact(_ region: Region, of picture: Picture, to size: Int) -> [UInt8] {
    func weights(_ position: Int, _ from: Int) -> [Double] {
      let scale = Double(from) / Double(size)
      let center = (Double(position) + 0.5) * scale
      let raw = (0..<from).map { tap -> Double in
        let x = abs((Double(tap) + 0.5 - center) / max(scale, 1))
        return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0
      }
      let sum = raw.reduce(0, +)
      return raw.map { $0 / sum }
    }
    var result: [UInt8] = []
    for y in 0..<size {
      let down = weights(y, region.height)
      for x in 0..<size {
        let across = weights(x, region.width)
        for channel in 0..<3 {
          var sum = 0.0
          for (i, a) in down.enumerated() {
            for (j, b) in across.enumerated() {
              sum += a * b * Double(picture.pixels[((region.top + i) * picture.width + region.left + j) * 3 + channel])
            }
          }
          result.append(UInt8(max(0, min(255, sum.rounded()))))
        }
      }
    }
    return result
  }
}
