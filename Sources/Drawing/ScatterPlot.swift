import Foundation

/// Points of several groups, as an SVG image for an HTML page.
public struct ScatterPlot: Sendable {
  public struct Point: Sendable {
    public var x: Double
    public var y: Double
    /// Index in the groups.
    public var group: Int

    public init(x: Double, y: Double, group: Int) { (self.x, self.y, self.group) = (x, y, group) }
  }

  /// Finite; a map with more than `pointsAtMost` shows every n-th.
  private let points: [Point]
  private let all: Int
  private let groups: [String]

  /// More are a carpet, and half a megabyte.
  public static let pointsAtMost = 2000
  private static let (width, height, edge) = (760.0, 520.0, 14.0)

  public init(points: [Point], groups: [String]) {
    let finite = points.filter { $0.x.isFinite && $0.y.isFinite }
    let step = max(1, (finite.count + Self.pointsAtMost - 1) / Self.pointsAtMost)
    self.points = stride(from: 0, to: finite.count, by: step).map { finite[$0] }
    all = finite.count
    self.groups = groups
  }

  /// What the points are.
  public var words: String {
    points.count == all
      ? "A point for each of \(all) pictures." : "A point for each of \(points.count) of \(all) pictures."
  }

  public var svg: String {
    let x = Axis(points.map(\.x), from: Self.edge, to: Self.width - Self.edge, ticks: 1)
    let y = Axis(points.map(\.y), from: Self.height - Self.edge, to: Self.edge, ticks: 1)
    let circles = points.map { point in
      "<circle cx=\"\(number(x.place(point.x)))\" cy=\"\(number(y.place(point.y)))\" r=\"3.5\" "
        + "fill=\"\(colour(point.group))\"/>"
    }
    return """
      <svg class="map" viewBox="0 0 \(number(Self.width)) \(number(Self.height))" role="img" \
      aria-label="\(words.markup)">
      <rect class="edge" x="0.5" y="0.5" width="\(number(Self.width - 1))" height="\(number(Self.height - 1))" rx="6"/>
      \(circles.joined(separator: "\n"))
      </svg>
      """
  }

  /// A list of HTML: each group's colour and name.
  public var legend: String {
    let present = Set(points.map(\.group)).sorted()
    let entries = present.map { "<li><i style=\"background: \(colour($0))\"></i>\(groups[$0].markup)</li>" }
    return "<ul class=\"legend\">\n\(entries.joined(separator: "\n"))\n</ul>"
  }

  /// Few groups have colours that nearly everybody tells apart; of many, neighbours are far apart on the wheel.
  private func colour(_ group: Int) -> String {
    if groups.count <= 8 {
      let channels = Colour.distinct(group).channels
      return String(format: "#%02x%02x%02x", channels.x, channels.y, channels.z)
    }
    let hue = Double(group) * 137.508
    return "hsl(\(Int(hue.truncatingRemainder(dividingBy: 360))) 65% \(group % 2 == 0 ? 42 : 58)%)"
  }
}
