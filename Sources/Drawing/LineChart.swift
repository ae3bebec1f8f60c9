import Foundation

/// Lines over steps, each with a band from the least to the largest value of what a point stands for.
public struct LineChart: Sendable {
  /// What a line says of neighbouring steps.
  public struct Point: Sendable, Equatable {
    public var step: Double
    public var least: Double
    public var mean: Double
    public var largest: Double

    public init(step: Double, least: Double, mean: Double, largest: Double) {
      (self.step, self.least, self.mean, self.largest) = (step, least, mean, largest)
    }
  }

  public struct Line: Sendable {
    public var name: String
    /// In the order of the steps, at least one.
    public var points: [Point]

    public init(_ name: String, _ points: [Point]) {
      (self.name, self.points) = (name, points)
    }
  }

  public var title: String
  /// At least one; a page has four colours for them.
  public var lines: [Line]
  public var fromZero: Bool

  public init(_ title: String, _ lines: [Line], fromZero: Bool = false) {
    precondition(!lines.isEmpty && lines.allSatisfy { !$0.points.isEmpty }, "a chart without a line")
    (self.title, self.lines, self.fromZero) = (title, lines, fromZero)
  }

  /// In pixels, of all charts of a sheet.
  static let (width, height) = (420.0, 236.0)
  private static let (left, right, top, bottom) = (58.0, 14.0, 44.0, 38.0)

  /// Elements of SVG, for a place `width` by `height` large.
  var elements: String {
    let points = lines.flatMap(\.points)
    let x = Axis(points.map(\.step), from: Self.left, to: Self.width - Self.right, ticks: 5)
    let y = Axis(
      points.flatMap { [$0.least, $0.largest] }, fromZero: fromZero, from: Self.height - Self.bottom, to: Self.top,
      ticks: 4
    ).padded(0.04)
    var parts = ["<text class=\"title\" x=\"\(number(Self.left))\" y=\"16\">\(title.markup)</text>"]
    parts += keys
    for tick in y.ticks {
      let height = number(y.place(tick))
      parts.append("<path class=\"grid\" d=\"M\(number(Self.left)) \(height)H\(number(Self.width - Self.right))\"/>")
      parts.append(
        "<text class=\"end\" x=\"\(number(Self.left - 6))\" y=\"\(number(y.place(tick) + 4))\">\(Axis.text(tick))</text>"
      )
    }
    let ground = Self.height - Self.bottom
    for tick in x.ticks where tick == tick.rounded() {
      parts.append("<path class=\"axis\" d=\"M\(number(x.place(tick))) \(number(ground))v4\"/>")
      parts.append(
        "<text class=\"middle\" x=\"\(number(x.place(tick)))\" y=\"\(number(ground + 18))\">\(Axis.text(tick))</text>")
    }
    parts.append(
      "<path class=\"axis\" d=\"M\(number(Self.left)) \(number(ground))H\(number(Self.width - Self.right))\"/>")
    parts.append(
      "<text class=\"middle\" x=\"\(number((Self.left + Self.width - Self.right) / 2))\" "
        + "y=\"\(number(Self.height - 4))\">step</text>")
    for (index, line) in lines.enumerated() {
      let places = line.points.map { (x: number(x.place($0.step)), $0) }
      let upper = places.map { "\($0.x) \(number(y.place($0.1.largest)))" }
      let lower = places.reversed().map { "\($0.x) \(number(y.place($0.1.least)))" }
      if line.points.contains(where: { $0.least != $0.largest }) {
        parts.append("<path class=\"band s\(index % 4)\" d=\"M\((upper + lower).joined(separator: "L"))Z\"/>")
      }
      let means = places.map { "\($0.x) \(number(y.place($0.1.mean)))" }.joined(separator: "L")
      // A point alone would not be seen.
      parts.append("<path class=\"line s\(index % 4)\" d=\"M\(means)\(places.count == 1 ? "h0.1" : "")\"/>")
    }
    return parts.joined(separator: "\n")
  }

  /// Each line's colour, name and newest value.
  private var keys: [String] {
    var left = Self.left
    return lines.enumerated().map { index, line in
      let newest = line.points[line.points.count - 1].mean
      let text = "\(line.name) \(String(format: "%.4g", newest))"
      defer { left += 40 + 7 * Double(text.count) }
      return "<path class=\"line s\(index % 4)\" d=\"M\(number(left)) 30h16\"/>"
        + "<text x=\"\(number(left + 22))\" y=\"34\">\(text.markup)</text>"
    }
  }
}

/// Charts side by side, as one SVG document, legible on light and dark grounds.
public struct ChartSheet: Sendable {
  public var title: String
  /// At least one.
  public var charts: [LineChart]
  /// Charts side by side, at least 1.
  public var columns: Int

  public init(_ title: String, _ charts: [LineChart], columns: Int = 2) {
    precondition(!charts.isEmpty && columns > 0, "a sheet without charts")
    (self.title, self.charts, self.columns) = (title, charts, columns)
  }

  private static let (margin, gap, heading) = (16.0, 20.0, 30.0)

  public var svg: String {
    let across = Double(min(columns, charts.count))
    let down = Double((charts.count + columns - 1) / columns)
    let width = 2 * Self.margin + across * LineChart.width + (across - 1) * Self.gap
    let height = Self.heading + 2 * Self.margin + down * LineChart.height + (down - 1) * Self.gap
    let places = charts.indices.map { index in
      let x = Self.margin + Double(index % columns) * (LineChart.width + Self.gap)
      let y = Self.margin + Self.heading + Double(index / columns) * (LineChart.height + Self.gap)
      return "<g transform=\"translate(\(number(x)) \(number(y)))\">\n\(charts[index].elements)\n</g>"
    }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(width)) \(number(height))" role="img" \
      aria-label="\(title.markup)">
      <style>
      \(Self.style)
      </style>
      <text class="heading" x="\(number(Self.margin))" y="\(number(Self.margin + 10))">\(title.markup)</text>
      \(places.joined(separator: "\n"))
      </svg>

      """
  }

  private static let style = """
    svg { background: #ffffff; font: 12px system-ui, "DejaVu Sans", sans-serif; }
    text { fill: #545b66; } .title, .heading { fill: #16191d; }
    .title { font-weight: 600; font-size: 13px; } .heading { font-weight: 600; font-size: 15px; }
    .end { text-anchor: end; } .middle { text-anchor: middle; }
    .grid { stroke: #e3e6eb; } .axis { stroke: #c9ced6; fill: none; }
    .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; } .band { stroke: none; opacity: 0.22; }
    .line.s0 { stroke: #0b5cad; } .line.s1 { stroke: #b04a00; } .line.s2 { stroke: #157347; } .line.s3 { stroke: #7a2bbf; }
    .band.s0 { fill: #0b5cad; } .band.s1 { fill: #b04a00; } .band.s2 { fill: #157347; } .band.s3 { fill: #7a2bbf; }
    @media (prefers-color-scheme: dark) {
    svg { background: #101317; } text { fill: #a4adba; } .title, .heading { fill: #e8eaee; }
    .grid { stroke: #2a3039; } .axis { stroke: #3a414c; }
    .line.s0 { stroke: #6cb4ff; } .line.s1 { stroke: #ff9f5a; } .line.s2 { stroke: #5ccb8b; } .line.s3 { stroke: #cf9bff; }
    .band.s0 { fill: #6cb4ff; } .band.s1 { fill: #ff9f5a; } .band.s2 { fill: #5ccb8b; } .band.s3 { fill: #cf9bff; }
    }
    """
}
