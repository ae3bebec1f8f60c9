import Drawing
import Testing
import Vision

@Suite struct ContactSheetTests {
  private func picture(_ width: Int, _ height: Int, _ level: UInt8) -> Picture {
    Picture(width: width, height: height, pixels: .init(repeating: level, count: 3 * width * height))
  }

  private func overlaps(_ a: Region, _ b: Region) -> Bool {
    let across = a.left < b.left + b.width && b.left < a.left + a.width
    let down = a.top < b.top + b.height && b.top < a.top + a.height
    return across && down
  }

  /// Every picture whole at the place that is said, and nothing of one over another.
  @Test func picturesLieWhereItIsSaid() throws {
    let rows = [
      [picture(60, 40, 10), picture(20, 20, 20)], [picture(30, 30, 30), picture(70, 50, 40), picture(10, 10, 50)],
    ]
    let sheet = ContactSheet(
      rows.enumerated().map { index, pictures in
        ContactSheet.Row(title: "row \(index)", pictures.map { ContactSheet.Cell($0, "one", "two") })
      })
    let drawn = try sheet.drawn()
    var taken: [Region] = []
    for (row, pictures) in rows.enumerated() {
      for (column, picture) in pictures.enumerated() {
        let place = sheet.place(row: row, column: column)
        #expect(pixels(in: place, of: drawn) == picture.pixels, "row \(row), column \(column)")
        for other in taken {
          #expect(!overlaps(place, other), "\(place) and \(other)")
        }
        taken.append(place)
        // Its caption is right below it.
        let below = Region(top: place.top + place.height, left: place.left, height: 30, width: 18)
        #expect(pixels(in: below, of: drawn).contains { $0 < 120 }, "row \(row), column \(column)")
      }
    }
    // Columns are columns.
    #expect(sheet.place(row: 0, column: 1).left == sheet.place(row: 1, column: 1).left)
  }

  @Test func moreThanAPictureMayHaveIsRefusedBeforeItIsDrawn() {
    let cell = ContactSheet.Cell(picture(1000, 1000, 0))
    let sheet = ContactSheet((0..<20).map { _ in ContactSheet.Row(title: "", .init(repeating: cell, count: 10)) })
    let error = #expect(throws: DrawingError.self) { try sheet.drawn() }
    #expect(error.map { "\($0)".hasSuffix("Ask for fewer, or smaller, pictures.") } == true)
  }

  @Test func ofLongTextsTheEndIsKept() {
    #expect(Canvas.fitting("pictures/test/cat/0001.jpg", width: 60) == "..0001.jpg")
    #expect(Canvas.fitting("short", width: 30) == "short")
    #expect(Canvas.fitting("short", width: 5).isEmpty)
  }

  /// Letters are dark on light, inside of their line, and one that is not of ASCII is a question mark.
  @Test func lettersAreDrawn() throws {
    func drawn(_ text: String) throws -> [UInt8] {
      var canvas = try Canvas(width: 40, height: Canvas.lineHeight)
      canvas.write(text, left: 0, top: 0)
      return canvas.picture.pixels
    }
    let blank = try Canvas(width: 40, height: Canvas.lineHeight).picture.pixels
    for letter in "!Ag0~" { #expect(try drawn(String(letter)) != blank, "\(letter)") }
    #expect(try drawn(" ") == blank)
    #expect(try drawn("é") == drawn("?"))
    // Beyond the edge is nowhere.
    var canvas = try Canvas(width: 4, height: 4)
    canvas.write("wide text", left: -3, top: -2)
    canvas.draw(picture(9, 9, 0), left: -5, top: 2)
    canvas.draw(picture(9, 9, 0), left: 10, top: 10)
    #expect(canvas.picture.pixels.count == 48)
  }

  @Test func picturesAreScaledByWholePixels() {
    let two = Picture(width: 2, height: 1, pixels: [1, 2, 3, 4, 5, 6])
    #expect(two.enlarged(by: 2).pixels == [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6])
    #expect(two.enlarged(toAtLeast: 5).height == 5)
    let four = Picture(width: 4, height: 2, pixels: (0..<24).map { UInt8($0 * 4) })
    let one = four.shrunk(toAtMost: 2)
    #expect(one.width == 2 && one.height == 1)
    // The mean of pixels 0, 1, 4 and 5.
    #expect(one.pixels[0] == UInt8((0 + 12 + 48 + 60) / 4))
    #expect(four.shrunk(toAtMost: 9) == four)
  }
}
