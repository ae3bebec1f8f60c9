import Foundation

/// A sweep as a picture: images a second, and the share of what the processors could do, over the number of workers.
public struct SweepPlot {
  private struct Series {
    let name: String
    let style: String
    let rates: [DeploymentSweep.Rate]
  }

  /// Of one of the two panels, in pixels.
  private static let (width, height) = (360.0, 260.0)
  private static let (left, right, gap) = (64.0, 32.0, 96.0)
  private static let (top, below) = (48.0, 112.0)

  private let workers: [Int]
  private let series: [Series]
  private let failures: DeploymentSweep.Failures?

  public init(_ sweep: DeploymentSweep) {
    workers = sweep.points.map(\.workers)
    failures = sweep.failures
    let all: [(String, String, [DeploymentSweep.Rate?])] = [
      ("through the coordinator", "star", sweep.points.map(\.star)),
      ("among the workers", "exchange", sweep.points.map(\.exchange)),
      ("through the coordinator, machines fail", "star failing", sweep.points.map(\.failingStar)),
      ("among the workers, machines fail", "exchange failing", sweep.points.map(\.failingExchange)),
    ]
    series = all.compactMap { name, style, rates in
      let known = rates.compactMap { $0 }
      return known.isEmpty ? nil : Series(name: name, style: style, rates: known)
    }
  }

  /// A document of its own, legible on light and dark grounds.
  public var svg: String {
    let wide = Self.left + 2 * Self.width + Self.gap + Self.right
    let high = Self.top + Self.height + Self.below
    let most = series.flatMap(\.rates).map(\.imagesPerSecond).max() ?? 1
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(number(wide)) \(number(high))" role="img" \
      aria-label="Images a second and efficiency over the number of workers">
      <style>
      svg { background: #ffffff; color: #1f2328; font: 13px sans-serif; }
      text { fill: currentColor; } .axis { stroke: currentColor; stroke-width: 1; fill: none; }
      .grid { stroke: currentColor; stroke-opacity: 0.15; } .end { text-anchor: end; } .middle { text-anchor: middle; }
      polyline, .key { fill: none; stroke-width: 2; } circle { stroke: none; }
      .star { stroke: #b35900; } circle.star { fill: #b35900; }
      .exchange { stroke: #0a5fb4; } circle.exchange { fill: #0a5fb4; } .failing { stroke-dasharray: 5 4; }
      @media (prefers-color-scheme: dark) {
      svg { background: #0d1117; color: #e6edf3; }
      .star { stroke: #ffa657; } circle.star { fill: #ffa657; }
      .exchange { stroke: #79c0ff; } circle.exchange { fill: #79c0ff; } }
      </style>
      \(panel("images/s", at: Self.left, upTo: Self.roundedUp(most)) { $0.imagesPerSecond })
      \(panel("share of what the processors could do", at: Self.left + Self.width + Self.gap, upTo: 1) { $0.efficiency })
      \(legend)
      </svg>

      """
  }

  private var legend: String {
    series.enumerated().map { index, series in
      let (x, y) = (Self.left + Double(index % 2) * (Self.width + Self.gap), Self.top + Self.height + 64)
      let line = y + Double(index / 2) * 22
      return "<path class=\"key \(series.style)\" d=\"M\(number(x)) \(number(line))h28\"/>"
        + "<text x=\"\(number(x + 36))\" y=\"\(number(line + 4))\">\(series.name)</text>"
    }.joined(separator: "\n")
  }

  private func panel(
    _ title: String, at left: Double, upTo most: Double, _ value: (DeploymentSweep.Rate) -> Double
  ) -> String {
    let bottom = Self.top + Self.height
    var lines = ["<text x=\"\(number(left))\" y=\"\(number(Self.top - 18))\">\(title)</text>"]
    for tick in 0...4 {
      let y = bottom - Double(tick) / 4 * Self.height
      lines.append("<path class=\"grid\" d=\"M\(number(left)) \(number(y))h\(number(Self.width))\"/>")
      lines.append(
        "<text class=\"end\" x=\"\(number(left - 8))\" y=\"\(number(y + 4))\">\(number(Double(tick) / 4 * most))</text>"
      )
    }
    for count in workers {
      lines.append(
        "<text class=\"middle\" x=\"\(number(x(count, from: left)))\" y=\"\(number(bottom + 20))\">\(count)</text>")
    }
    lines.append(
      "<text class=\"middle\" x=\"\(number(left + Self.width / 2))\" y=\"\(number(bottom + 40))\">workers</text>")
    lines.append(
      "<path class=\"axis\" d=\"M\(number(left)) \(number(Self.top))v\(number(Self.height))h\(number(Self.width))\"/>")
    for series in series {
      let points = zip(workers, series.rates).map { count, rate in
        (x: number(x(count, from: left)), y: number(bottom - value(rate) / most * Self.height))
      }
      lines.append(
        "<polyline class=\"\(series.style)\" points=\"\(points.map { "\($0.x),\($0.y)" }.joined(separator: " "))\"/>")
      lines += points.map { "<circle class=\"\(series.style)\" cx=\"\($0.x)\" cy=\"\($0.y)\" r=\"3\"/>" }
    }
    return lines.joined(separator: "\n")
  }

  /// Twice as many workers are as far apart everywhere.
  private func x(_ count: Int, from left: Double) -> Double {
    guard let first = workers.first, let last = workers.last, last > first else { return left + Self.width / 2 }
    return left + log2(Double(count) / Double(first)) / log2(Double(last) / Double(first)) * Self.width
  }

  /// To a number that four ticks divide well.
  private static func roundedUp(_ value: Double) -> Double {
    let power = pow(10, floor(log10(max(value, 1e-9))))
    return [1, 2, 4, 6, 8, 10].map { $0 * power }.first { $0 >= value } ?? 10 * power
  }

  private func number(_ value: Double) -> String { String(format: "%g", (value * 100).rounded() / 100) }
}
