import Glibc

/// Reads lines of `metrics.jsonl` for their history: a step and its figures, and nothing else of them.
///
/// A million lines are some 600 MB, which `JSONDecoder` reads in a minute. This takes what our own writer, of any version,
/// writes: one flat object of numbers, nulls and texts. Other lines are none.
package struct MetricsLine {
  /// A record has some 700 bytes; a text in it may be a few sentences.
  static let bytesAtMost = 16_384

  /// Of the line read last.
  package private(set) var step = 0
  /// By `Metric.index`; NaN for what the line does not say, or says is null.
  package private(set) var values = [Double](repeating: .nan, count: Metric.count)

  /// Keys as bytes; the `count`th stands for the step.
  private static let keys: [(key: [UInt8], place: Int)] =
    Metric.allCases.map { (Array($0.rawValue.utf8), $0.index) }
    // What `unix_seconds` was called before it said its unit.
    + [(Array("time".utf8), Metric.unixSeconds.index), (Array("step".utf8), Metric.count)]
  /// By the key's length, for few share one.
  private static let keysByLength: [[(key: [UInt8], place: Int)]] =
    (0...(keys.map(\.key.count).max() ?? 0)).map { length in keys.filter { $0.key.count == length } }

  package init() {}

  /// - Parameter line: without its newline.
  /// - Returns: whether it is a record; then `step` and `values` are its.
  package mutating func read(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
    for index in values.indices { values[index] = .nan }
    var found: Int?
    let isRecord = Self.eachFigure(of: line) { key, value in
      guard let target = Self.target(of: key) else { return true }
      guard let number = Self.number(value) else { return false }
      if target < Metric.count { values[target] = number } else { found = Int(exactly: number) }
      return true
    }
    guard isRecord, let found, found > 0 else { return false }
    step = found
    return true
  }

  /// All figures of a record, whatever they are called; nil of a line that is none. A figure that is null is left out.
  static func figures(of line: UnsafeBufferPointer<UInt8>) -> [(key: String, value: Double)]? {
    var figures: [(String, Double)] = []
    let isRecord = eachFigure(of: line) { key, value in
      guard let number = number(value) else { return false }
      if !number.isNaN { figures.append((String(decoding: key, as: UTF8.self), number)) }
      return true
    }
    return isRecord ? figures : nil
  }

  /// Gives each key with its value as it is written; those with a text are left out, for that is no figure.
  /// - Returns: whether the line is an object of such, and `take` took all of them.
  @inline(__always)
  private static func eachFigure(
    of line: UnsafeBufferPointer<UInt8>,
    _ take: (_ key: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Bool
  ) -> Bool {
    guard line.count <= bytesAtMost, line.first == UInt8(ascii: "{"), line.last == UInt8(ascii: "}") else {
      return false
    }
    var place = 1
    while place < line.count - 1 {
      // 1. "key":
      guard line[place] == UInt8(ascii: "\""), let keyEnd = endOfText(line, from: place + 1),
        line[keyEnd + 1] == UInt8(ascii: ":")
      else { return false }
      let key = UnsafeBufferPointer(rebasing: line[(place + 1)..<keyEnd])
      place = keyEnd + 2

      // 2. A text, or all up to the next comma.
      if line[place] == UInt8(ascii: "\"") {
        guard let end = endOfText(line, from: place + 1) else { return false }
        place = end + 1
      } else {
        let start = place
        while place < line.count - 1, line[place] != UInt8(ascii: ",") { place += 1 }
        guard take(key, UnsafeBufferPointer(rebasing: line[start..<place])) else { return false }
      }

      // 3. , or the end.
      guard place == line.count - 1 || line[place] == UInt8(ascii: ",") else { return false }
      place += 1
    }
    return true
  }

  /// The place of the quote that ends a text; there is a byte behind it.
  private static func endOfText(_ line: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
    var place = start
    while place < line.count - 1 {
      if line[place] == UInt8(ascii: "\"") { return place }
      place += line[place] == UInt8(ascii: "\\") ? 2 : 1
    }
    return nil
  }

  private static func target(of key: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let bytes = key.baseAddress, key.count < keysByLength.count else { return nil }
    return keysByLength[key.count].first { memcmp($0.key, bytes, key.count) == 0 }?.place
  }

  /// NaN for null; nil for what is neither a number nor null. A comma or a brace, which ends every number, is behind it.
  private static func number(_ text: UnsafeBufferPointer<UInt8>) -> Double? {
    guard let first = text.first else { return nil }
    if first == UInt8(ascii: "n") { return text.elementsEqual("null".utf8) ? .nan : nil }
    // Not what strtod takes beside numbers of JSON: blanks, "inf", hexadecimal digits.
    guard first == UInt8(ascii: "-") || 0x30...0x39 ~= first, text.count < 64,
      !text.contains(where: { $0 == UInt8(ascii: "x") || $0 == UInt8(ascii: "X") || $0 == UInt8(ascii: "i") })
    else { return nil }
    return text.withMemoryRebound(to: CChar.self) { text in
      var end: UnsafeMutablePointer<CChar>?
      let value = strtod(text.baseAddress!, &end)
      return end.map { UnsafePointer($0) == text.baseAddress! + text.count } == true && value.isFinite ? value : nil
    }
  }
}
