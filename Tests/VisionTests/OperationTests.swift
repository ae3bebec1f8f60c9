import Testing
import Vision

@Suite struct OperationTests {
  @Test func twoFlipsAreNone() throws {
    let picture = try Fixture.picture()
    var flipped = picture
    flipped.apply(.flip)
    #expect(Array(flipped.pixels[0..<3]) == Array(picture.pixels[(picture.width - 1) * 3..<picture.width * 3]))
    flipped.apply(.flip)
    #expect(flipped == picture)
  }

  @Test(arguments: [
    PictureOperation.brightness(factor: 1), .contrast(factor: 1), .saturation(factor: 1), .solarize(threshold: 256),
    .blur(sigma: 0),
  ]) func neutralSettingsChangeNothing(operation: PictureOperation) throws {
    var picture = try Fixture.picture()
    picture.apply(operation)
    #expect(picture == (try Fixture.picture()))
  }

  @Test func brightnessRoundsDownAndClips() {
    var picture = Picture(width: 1, height: 1, pixels: [9, 100, 250])
    picture.apply(.brightness(factor: 1.3))
    #expect(picture.pixels == [11, 130, 255])
  }

  @Test func noContrastIsTheMeanLuma() {
    var picture = Picture(width: 2, height: 1, pixels: [255, 0, 0, 0, 0, 255])
    picture.apply(.contrast(factor: 0))
    #expect(picture.pixels == [UInt8](repeating: 53, count: 6))  // luma 76 and 29
  }

  @Test func noSaturationIsGray() throws {
    var (faded, gray) = (try Fixture.picture(), try Fixture.picture())
    faded.apply(.saturation(factor: 0))
    gray.apply(.grayscale)
    #expect(faded == gray)
  }

  @Test func aThirdOfTheWheelTurnsRedGreen() {
    var picture = Picture(width: 2, height: 1, pixels: [200, 0, 0, 70, 70, 70])
    picture.apply(.hue(shift: 1.0 / 3))
    #expect(picture.pixels == [0, 200, 0, 70, 70, 70])
  }

  @Test func hueComesBackAllButForRounding() throws {
    var picture = try Fixture.picture()
    picture.apply(.hue(shift: 0.2))
    picture.apply(.hue(shift: -0.2))
    #expect(difference(picture.pixels, try Fixture.pixels("baseline")).mean < 3)
  }

  @Test func solarizeInvertsFromTheThreshold() {
    var picture = Picture(width: 1, height: 1, pixels: [127, 128, 255])
    picture.apply(.solarize(threshold: 128))
    #expect(picture.pixels == [127, 127, 0])
  }

  @Test(arguments: [0.1, 0.7, 1.3, 2, 5, 12]) func blurHasTheDeviationAskedFor(sigma: Double) {
    let side = 121
    var pixels = [UInt8](repeating: 0, count: side * side * 3)
    // Bars in the middle, for a single pixel would round to nothing.
    for y in 0..<side { for channel in 0..<3 { pixels[(y * side + side / 2) * 3 + channel] = 255 } }
    var picture = Picture(width: side, height: side, pixels: pixels)
    picture.apply(.blur(sigma: sigma))
    let row = (0..<side).map { Double(picture.pixels[(side / 2 * side + $0) * 3]) }
    let mass = row.reduce(0, +)
    let variance = row.enumerated().reduce(0) { $0 + Double(($1.offset - 60) * ($1.offset - 60)) * $1.element } / mass
    #expect(abs(variance - sigma * sigma) < 0.03 + 0.12 * sigma * sigma)
    // The same along columns.
    var turned = Picture(
      width: side, height: side,
      pixels: pixels.indices.map { index in
        pixels[(index / 3 % side * side + index / 3 / side) * 3 + index % 3]
      })
    turned.apply(.blur(sigma: sigma))
    let column = (0..<side).map { Double(turned.pixels[($0 * side + side / 2) * 3]) }
    #expect(column == row)
  }

  @Test func blurRepeatsTheEdges() {
    var picture = Picture(width: 3, height: 2, pixels: [UInt8](repeating: 77, count: 18))
    picture.apply(.blur(sigma: 9))
    #expect(picture.pixels == [UInt8](repeating: 77, count: 18))
  }
}
