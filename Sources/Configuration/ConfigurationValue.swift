/// A key's value on its way between text and `RunConfiguration`, and what it may be.
public enum ConfigurationValue: Sendable, Equatable {
  case integer(Int)
  case number(Double)
  /// A number that is a whole one as a rule, and is then written without a fraction.
  case amount(Double)
  case flag(Bool)
  case text(String)
  case numbers([Double])
  /// An optional key that is not set.
  case none
}

// MARK: - As text

extension ConfigurationValue: CustomStringConvertible {
  /// As in a recipe; also valid JSON, except for texts. Numbers are the shortest that read back the same.
  public var description: String {
    switch self {
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .amount(let value): plain(value)
    case .flag(let value): "\(value)"
    case .text(let value): value
    case .numbers(let values): "[" + values.map { "\($0)" }.joined(separator: ", ") + "]"
    case .none: "null"
    }
  }

  /// As in JSON.
  var json: String {
    guard case .text(let value) = self else { return description }
    var quoted = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}

// MARK: - As plain values

// `Domain.parse` makes the only values that reach these, each of its domain's case: another is a row of the table
// whose domain and property disagree.
extension ConfigurationValue {
  var integer: Int {
    guard case .integer(let value) = self else { fatalError("invariant broken: \(self) is no integer") }
    return value
  }

  var number: Double {
    guard case .number(let value) = self else { fatalError("invariant broken: \(self) is no number") }
    return value
  }

  var amount: Double {
    guard case .amount(let value) = self else { fatalError("invariant broken: \(self) is no amount") }
    return value
  }

  var flag: Bool {
    guard case .flag(let value) = self else { fatalError("invariant broken: \(self) is no flag") }
    return value
  }

  var text: String {
    guard case .text(let value) = self else { fatalError("invariant broken: \(self) is no text") }
    return value
  }

  var numbers: [Double] {
    guard case .numbers(let values) = self else { fatalError("invariant broken: \(self) is no list of numbers") }
    return values
  }
}

// MARK: - What a key may be

/// Numbers from `lower`, itself included or not, to `upper`, likewise.
public struct NumberRange: Sendable, Equatable, CustomStringConvertible {
  public let lower: Double
  public let includesLower: Bool
  public let upper: Double
  public let includesUpper: Bool

  static func from(_ lower: Double, to upper: Double) -> NumberRange {
    NumberRange(lower: lower, includesLower: true, upper: upper, includesUpper: true)
  }

  static func from(_ lower: Double, below upper: Double) -> NumberRange {
    NumberRange(lower: lower, includesLower: true, upper: upper, includesUpper: false)
  }

  static func above(_ lower: Double, to upper: Double) -> NumberRange {
    NumberRange(lower: lower, includesLower: false, upper: upper, includesUpper: true)
  }

  static let probability = NumberRange.from(0, to: 1)

  /// False for what is not a number.
  public func contains(_ value: Double) -> Bool {
    (includesLower ? value >= lower : value > lower) && (includesUpper ? value <= upper : value < upper)
  }

  public var description: String {
    switch (includesLower, includesUpper) {
    case (true, true): "from \(plain(lower)) to \(plain(upper))"
    case (true, false): "of at least \(plain(lower)) and below \(plain(upper))"
    case (false, true): "above \(plain(lower)) and at most \(plain(upper))"
    case (false, false): "above \(plain(lower)) and below \(plain(upper))"
    }
  }
}

/// The number without the fraction of a whole one: 1, not 1.0.
func plain(_ value: Double) -> String {
  value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
}

extension ConfigurationKey {
  /// What a key may be.
  public enum Domain: Sendable, Equatable, CustomStringConvertible {
    case integer(ClosedRange<Int>)
    case optionalInteger(ClosedRange<Int>)
    case number(NumberRange)
    /// A number that is a whole one as a rule.
    case amount(NumberRange)
    /// Two numbers, the first not above the second.
    case interval(NumberRange)
    /// Three numbers: red, green, blue.
    case triple(NumberRange)
    case flag
    case choice([String])
    case endpoint

    /// What is allowed, to stand after "must be".
    public var description: String {
      switch self {
      case .integer(let range): "a whole number \(Self.words(range))"
      case .optionalInteger(let range): "a whole number \(Self.words(range)), or null"
      case .number(let range), .amount(let range): "a number \(range)"
      case .interval(let range): "two numbers \(range), the smaller first"
      case .triple(let range): "three numbers \(range)"
      case .flag: "true or false"
      case .choice(let names): "one of " + names.joined(separator: ", ")
      case .endpoint: "tcp://HOST:PORT, with a port from 0 to 65535"
      }
    }

    private static func words(_ range: ClosedRange<Int>) -> String {
      range.upperBound == Int.max
        ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
    }
  }
}

extension ConfigurationKey.Domain {
  /// Reads a value from the words of a recipe or a flag: one word, or for lists their elements.
  ///
  /// - Returns: nil when that is not allowed here.
  func parse(_ words: [String]) -> ConfigurationValue? {
    switch self {
    case .interval(let range):
      guard let values = Self.numbers(words, count: 2, range), values[0] <= values[1] else { return nil }
      return .numbers(values)
    case .triple(let range):
      return Self.numbers(words, count: 3, range).map { .numbers($0) }
    default:
      return words.count == 1 ? parse(word: words[0]) : nil
    }
  }

  private func parse(word: String) -> ConfigurationValue? {
    switch self {
    case .integer(let range):
      return Int(word).flatMap { range.contains($0) ? .integer($0) : nil }
    case .optionalInteger(let range):
      if ["", "~", "null", "none"].contains(word) { return ConfigurationValue.none }
      return Int(word).flatMap { range.contains($0) ? .integer($0) : nil }
    case .number(let range):
      return Double(word).flatMap { range.contains($0) ? .number($0) : nil }
    case .amount(let range):
      return Double(word).flatMap { range.contains($0) ? .amount($0) : nil }
    case .flag:
      return ["true": .flag(true), "false": .flag(false)][word]
    case .choice(let names):
      return names.contains(word) ? .text(word) : nil
    case .endpoint:
      return Self.isEndpoint(word) ? .text(word) : nil
    case .interval, .triple:
      return nil
    }
  }

  private static func numbers(_ words: [String], count: Int, _ range: NumberRange) -> [Double]? {
    let values = words.compactMap { Double($0) }
    guard words.count == count, values.count == count, values.allSatisfy(range.contains) else { return nil }
    return values
  }

  private static func isEndpoint(_ word: String) -> Bool {
    guard word.hasPrefix("tcp://") else { return false }
    let address = word.dropFirst("tcp://".count)
    guard let colon = address.lastIndex(of: ":") else { return false }
    let host = address[..<colon]
    let port = address[address.index(after: colon)...]
    return !host.isEmpty && Int(port).map { (0...65535).contains($0) } ?? false
  }
}
