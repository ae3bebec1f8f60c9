import Foundation

/// Values along one side of a chart, and where they lie in pixels.
struct Axis {
  let low: Double
  let high: Double
  let start: Double
  let end: Double
  /// Round numbers, about as many as were asked for.
  let ticks: [Double]
  private let count: Int

  /// - Parameters:
  ///   - values: those that have to be on it; others than finite ones are left out.
  ///   - start: where `low` lies; `end` may be smaller.
  init(_ values: some Sequence<Double>, fromZero: Bool = false, from start: Double, to end: Double, ticks count: Int) {
    let finite = values.filter(\.isFinite)
    var (low, high) = (finite.min() ?? 0, finite.max() ?? 1)
    if fromZero { (low, high) = (min(0, low), max(0, high)) }
    if !(high > low) {
      let pad = low == 0 ? 1 : abs(low) * 0.05
      (low, high) = (low - (fromZero && low >= 0 ? 0 : pad), high + pad)
    }
    (self.low, self.high, self.start, self.end, self.count) = (low, high, start, end, count)
    ticks = Self.ticks(from: low, to: high, count: count)
  }

  /// Room beyond the outermost values, so that lines do not lie on the edge.
  func padded(_ share: Double) -> Axis {
    let pad = (high - low) * share
    return Axis(
      [low < 0 || low - pad > 0 ? low - pad : low, high + pad], from: start, to: end, ticks: count)
  }

  func place(_ value: Double) -> Double { start + (value - low) / (high - low) * (end - start) }

  private static func ticks(from low: Double, to high: Double, count: Int) -> [Double] {
    let rough = (high - low) / Double(max(1, count))
    let power = pow(10, floor(log10(rough)))
    guard power.isFinite, power > 0 else { return [low, high] }
    let step = [1, 2, 2.5, 5, 10].map { $0 * power }.min { abs(log($0 / rough)) < abs(log($1 / rough)) } ?? power
    let first = (low / step - 1e-9).rounded(.up)
    return (0...count * 3).map { (first + Double($0)) * step }.filter { $0 <= high + step * 1e-9 }
  }

  /// A tick for people: as few digits as tell it from the next.
  static func text(_ value: Double) -> String {
    let size = abs(value)
    if size < 1e-12 { return "0" }
    if size < 1e-3 { return String(format: "%.3g", value) }
    if size >= 1e6 { return String(format: "%.4gM", value / 1e6) }
    if size >= 1e4 { return String(format: "%.4gk", value / 1e3) }
    return String(format: "%.5g", value)
  }
}
