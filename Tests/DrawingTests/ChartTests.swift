import Drawing
import Foundation
import FoundationXML
import Testing

@Suite struct ChartTests {
  private func line(_ name: String, _ values: [Double], spread: Double = 0) -> LineChart.Line {
    LineChart.Line(
      name,
      values.enumerated().map {
        LineChart.Point(step: Double($0 + 1), least: $1 - spread, mean: $1, largest: $1 + spread)
      })
  }

  /// A document that an XML parser takes, whatever names there are in it.
  private func elements(_ svg: String) throws -> [(name: String, attributes: [String: String])] {
    final class Reader: NSObject, XMLParserDelegate {
      var found: [(name: String, attributes: [String: String])] = []
      func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
        attributes: [String: String]
      ) { found.append((name, attributes)) }
    }
    let (reader, parser) = (Reader(), XMLParser(data: Data(svg.utf8)))
    parser.delegate = reader
    try #require(parser.parse(), "\(String(describing: parser.parserError))")
    return reader.found
  }

  /// Places of a path's points.
  private func points(_ path: String?) -> [(x: Double, y: Double)] {
    (path ?? "").dropFirst().split(separator: "L").compactMap { point in
      let numbers = point.split(separator: " ").compactMap { Double($0) }
      return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }
  }

  @Test func aLineRisesWhereItsValuesDo() throws {
    let svg = ChartSheet("run", [LineChart("Loss", [line("loss", [1, 3, 2], spread: 0.5)])]).svg
    let found = try elements(svg)
    let drawn = found.filter { $0.name == "path" && $0.attributes["class"] == "line s0" }
    let places = points(drawn.last?.attributes["d"])
    try #require(places.count == 3)
    #expect(places[0].x < places[1].x && places[1].x < places[2].x)
    // Downward is larger in SVG. The middle value lies half way.
    #expect(places[1].y < places[2].y && places[2].y < places[0].y)
    #expect(abs(places[2].y - (places[0].y + places[1].y) / 2) < 0.02)
    #expect(found.contains { $0.attributes["class"] == "band s0" })
  }

  @Test(arguments: [[5.0], [2, 2, 2], [0, 0], [-1, -3], [1e-7, 2e-7], [1e9, 3e9], [1e300, 0]])
  func anyValuesAreDrawnWithinTheChart(values: [Double]) throws {
    for fromZero in [true, false] {
      let svg = ChartSheet("run", [LineChart("Loss", [line("loss", values)], fromZero: fromZero)]).svg
      let drawn = try elements(svg).filter { $0.attributes["class"] == "line s0" }
      let places = points(drawn.last?.attributes["d"]?.replacing("h0.1", with: ""))
      #expect(places.count == values.count)
      #expect(places.allSatisfy { 0...460 ~= $0.x && 40...240 ~= $0.y }, "\(places)")
      #expect(!svg.contains("nan") && !svg.contains("inf"))
    }
  }

  @Test func namesAreNoMarkup() throws {
    let svg = ChartSheet("a<b>&\"c\"\u{202e}", [LineChart("<i>&", [line("</text>", [1, 2])])]).svg
    #expect(try elements(svg).count > 5)
    #expect(!svg.contains("<i>") && svg.contains("&lt;i&gt;&amp;") && !svg.unicodeScalars.contains("\u{202e}"))
  }

  @Test func ofManyPointsSomeAreShownAndItIsSaid() throws {
    let points = (0..<5000).map { ScatterPlot.Point(x: Double($0), y: Double($0 % 7), group: $0 / 1700) }
    let plot = ScatterPlot(points: points + [.init(x: .nan, y: 0, group: 0)], groups: ["a", "b", "<c>"])
    let circles = try elements(plot.svg).filter { $0.name == "circle" }
    #expect(circles.count <= ScatterPlot.pointsAtMost && circles.count > 1000)
    #expect(plot.words == "A point for each of \(circles.count) of 5000 pictures.")
    #expect(plot.legend.contains("&lt;c&gt;"))
    // One point alone has a place, too.
    #expect(!ScatterPlot(points: [.init(x: 3, y: 3, group: 0)], groups: ["a"]).svg.contains("nan"))
  }
}
