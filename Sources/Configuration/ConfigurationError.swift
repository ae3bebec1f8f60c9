/// Why settings cannot be used: what is wrong, where it stands, and what is allowed there.
public enum ConfigurationError: Error, Equatable {
  case unreadable(file: String, reason: String)
  /// Not YAML, or YAML of another form than keys with values.
  case notARecipe(file: String, line: Int?, reason: String)
  case unknownKey(String, nearest: String?, source: ConfigurationSource)
  case repeatedKey(String, source: ConfigurationSource)
  case wrongValue(key: String, value: String, allowed: String, source: ConfigurationSource)
  /// An argument of `fork` or `--change` that is not `key=value`.
  case notAnAssignment(String)
  /// Values that are allowed one by one, not together; a sentence each.
  case inconsistent([String])
  /// A run cannot go on with these keys' given values.
  case otherConfiguration(run: String, [KeyDifference])
}

/// Where a value was given.
public enum ConfigurationSource: Sendable, Equatable {
  case recipe(file: String, line: Int?)
  case flag
  /// A `key=value` argument.
  case assignment
}

// MARK: - Sentences

extension ConfigurationError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unreadable(let file, let reason):
      return "Cannot read the recipe \(file): \(reason)."
    case .notARecipe(let file, let line, let reason):
      let place = line.map { ", line \($0)" } ?? ""
      return "\(file)\(place) is not a recipe: \(reason). A recipe is YAML, one 'key: value' a line."
    case .unknownKey(let key, let nearest, let source):
      let advice =
        nearest.map { "Did you mean \(source.spelled($0))?" }
        ?? "'massl train --help' lists all keys."
      return "There is no key \(source.spelled(key))\(source.place). \(advice)"
    case .repeatedKey(let key, let source):
      return "\(source.spelled(key)) is given twice\(source.place). Keep one."
    case .wrongValue(let key, let value, let allowed, let source):
      return "\(source.spelled(key)) must be \(allowed), not '\(value)'\(source.place)."
    case .notAnAssignment(let text):
      return "'\(text)' is not of the form key=value."
    case .inconsistent(let sentences):
      return sentences.joined(separator: " ")
    case .otherConfiguration(let run, let differences):
      return differences.map { Self.refusal($0, run: run) }.joined(separator: " ")
    }
  }

  /// The description's sentences for each thing that is wrong, to be told a line each.
  public var lines: [String] {
    switch self {
    case .inconsistent(let sentences): sentences
    case .otherConfiguration(let run, let differences): differences.map { Self.refusal($0, run: run) }
    default: [description]
    }
  }

  private static func refusal(_ difference: KeyDifference, run: String) -> String {
    let (name, saved, given) = (difference.name, difference.saved, difference.given)
    switch difference.kind {
    case .identity:
      return "\(run) was started with \(name) \(saved), not \(given). "
        + "Give \(name) \(saved) to resume it, or another --run to start afresh."
    case .trajectory, .operational:
      return "\(run) has \(name) \(saved), not \(given). "
        + "Give --change \(name)=\(given) to change it from the newest checkpoint on."
    }
  }
}

extension ConfigurationSource {
  /// The key as it is written there.
  func spelled(_ key: String) -> String {
    switch self {
    case .recipe, .assignment: key
    case .flag: "--" + String(key.map { $0 == "_" ? "-" : $0 })
    }
  }

  /// To stand at the end of a clause; empty where the spelling says it already.
  var place: String {
    switch self {
    case .recipe(let file, let line?): " (\(file), line \(line))"
    case .recipe(let file, nil): " (\(file))"
    case .flag, .assignment: ""
    }
  }
}
