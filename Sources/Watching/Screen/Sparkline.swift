/// A curve as one line of text.
package enum Sparkline {
  private static let blocks = Array("▁▂▃▄▅▆▇█")
  /// For terminals that know no others.
  private static let letters = Array("_.-=+*%#")

  /// - Parameters:
  ///   - values: nil where there is none.
  ///   - columns: at most; where there are more values, a column is the mean of several.
  package static func text(_ values: [Double?], columns: Int, isUnicode: Bool) -> String {
    guard columns > 0, !values.isEmpty else { return "" }
    let count = min(columns, values.count)
    let means = (0..<count).map { column -> Double? in
      let part = values[(column * values.count / count)..<((column + 1) * values.count / count)].compactMap { $0 }
        .filter(\.isFinite)
      return part.isEmpty ? nil : part.reduce(0, +) / Double(part.count)
    }
    let known = means.compactMap { $0 }
    guard let least = known.min(), let largest = known.max() else { return "" }
    let levels = isUnicode ? blocks : letters
    let scale = largest > least ? Double(levels.count) / (largest - least) : 0
    return String(
      means.map { mean in mean.map { levels[min(levels.count - 1, Int(($0 - least) * scale))] } ?? " " })
  }
}
