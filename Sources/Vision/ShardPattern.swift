/// Names of files in one: "train-{000000..000146}.tar", as WebDataset and shells have it.
///
/// Braces hold two numbers with two dots between them, or words with commas between them; there may be several. Numbers
/// have at least as many digits as the longer of the two that has a leading zero.
package enum ShardPattern {
  static let namesAtMost = 1_000_000

  /// - Returns: the names in the order that the pattern has them.
  /// - Throws: `VisionError.badPattern`.
  package static func names(_ pattern: String) throws(VisionError) -> [String] {
    var names = [""]
    var rest = pattern[...]
    while let open = rest.firstIndex(of: "{") {
      guard let close = rest[open...].firstIndex(of: "}") else {
        throw .badPattern(pattern: pattern, reason: "a brace is not closed")
      }
      let choices = try choices(String(rest[rest.index(after: open)..<close]), in: pattern)
      guard choices.count <= namesAtMost / names.count else {
        throw .badPattern(pattern: pattern, reason: "it stands for more than \(namesAtMost) files")
      }
      let before = rest[..<open]
      names = names.flatMap { name in choices.map { name + before + $0 } }
      rest = rest[rest.index(after: close)...]
    }
    return names.map { $0 + rest }
  }

  private static func choices(_ inside: String, in pattern: String) throws(VisionError) -> [String] {
    func bad(_ reason: String) -> VisionError { .badPattern(pattern: pattern, reason: reason) }
    guard !inside.contains("{") else { throw bad("a brace stands in another") }
    guard let dots = inside.firstRange(of: "..") else {
      guard inside.contains(",") else { throw bad("'{\(inside)}' is neither two numbers nor words") }
      return inside.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
    let ends = [inside[..<dots.lowerBound], inside[dots.upperBound...]]
    guard ends.allSatisfy({ (1...15).contains($0.utf8.count) && $0.utf8.allSatisfy { 48...57 ~= $0 } }),
      let first = Int(ends[0]), let last = Int(ends[1])
    else { throw bad("'{\(inside)}' is neither two numbers nor words") }
    guard first <= last else { throw bad("'{\(inside)}' goes from \(first) down to \(last)") }
    guard last - first < namesAtMost else { throw bad("it stands for more than \(namesAtMost) files") }
    let width = ends.filter { $0.hasPrefix("0") }.map(\.utf8.count).max() ?? 1
    return (first...last).map { number in
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
  }
}
