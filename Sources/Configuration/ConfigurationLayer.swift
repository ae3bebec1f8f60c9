import Foundation
import Yams

/// Values given in one place: a recipe, the flags of a command line, `key=value` arguments.
///
/// Each is already of its key's kind and range; whether they fit together is for `RunConfiguration(layers:)` to say,
/// once all layers are known.
public struct ConfigurationLayer: Sendable, Equatable {
  struct Entry: Sendable, Equatable {
    let value: ConfigurationValue
    let source: ConfigurationSource
  }

  private(set) var entries: [String: Entry] = [:]

  /// Names of the keys given, in the table's order.
  public var names: [String] { ConfigurationKey.all.map(\.name).filter { entries[$0] != nil } }

  public init() {}

  /// Less the entries for some keys.
  func without(_ keys: [ConfigurationKey]) -> ConfigurationLayer {
    var layer = self
    for key in keys { layer.entries[key.name] = nil }
    return layer
  }

  private mutating func add(_ name: String, _ words: [String], source: ConfigurationSource) throws(ConfigurationError) {
    guard let key = ConfigurationKey.named(name) else {
      let nearest = nearestName(to: name, among: ConfigurationKey.all.map(\.name))
      throw .unknownKey(name, nearest: nearest, source: source)
    }
    guard let value = key.domain.parse(words) else {
      let shown = words.joined(separator: ", ")
      throw .wrongValue(key: key.name, value: shown, allowed: key.domain.description, source: source)
    }
    guard entries[key.name] == nil else { throw .repeatedKey(key.name, source: source) }
    entries[key.name] = Entry(value: value, source: source)
  }
}

// MARK: - Flags and arguments

extension ConfigurationLayer {
  /// Values of flags, by key or flag name; lists are separated by commas, with or without brackets.
  public init(flags: [(name: String, text: String)]) throws(ConfigurationError) {
    for (name, text) in flags { try add(name, Self.words(text), source: .flag) }
  }

  /// Arguments of the form `key=value`, for `fork` and `--change`.
  public init(assignments: [String]) throws(ConfigurationError) {
    for assignment in assignments {
      guard let equals = assignment.firstIndex(of: "="), equals > assignment.startIndex else {
        throw .notAnAssignment(assignment)
      }
      let text = String(assignment[assignment.index(after: equals)...])
      try add(String(assignment[..<equals]), Self.words(text), source: .assignment)
    }
  }

  private static func words(_ text: String) -> [String] {
    var inner = text[...]
    if inner.hasPrefix("["), inner.hasSuffix("]") { inner = inner.dropFirst().dropLast() }
    return inner.split(separator: ",", omittingEmptySubsequences: false)
      .map { $0.trimmingCharacters(in: .whitespaces) }
  }
}

// MARK: - Recipes

extension ConfigurationLayer {
  /// Bytes of a recipe's text.
  public static let recipeBytesAtMost = PlainYAML.bytesAtMost

  /// Reads a recipe, or a run's `config.yaml`.
  public init(recipeAt path: String) throws(ConfigurationError) {
    let text: String
    do {
      text = try PlainYAML.text(ofFile: path, kind: "recipe")
    } catch {
      throw Self.error(error, file: path)
    }
    try self.init(recipe: text, file: path)
  }

  /// Reads the text of a recipe.
  ///
  /// Values are read by their key's kind, not by YAML's guesses: `1e-6`, a string to YAML 1.1, is a number where one
  /// belongs.
  /// - Parameter file: what errors call it.
  public init(recipe text: String, file: String) throws(ConfigurationError) {
    guard let root = try Self.compose(text, file: file) else { return }
    guard case .mapping(let mapping) = root else {
      throw .notARecipe(file: file, line: root.mark?.line, reason: "it holds no keys")
    }
    for (keyNode, valueNode) in mapping {
      let line = keyNode.mark?.line
      guard case .scalar(let key) = keyNode else {
        throw .notARecipe(file: file, line: line, reason: "a key must be a single word")
      }
      let words = try Self.words(valueNode, key: key.string, file: file, line: line)
      try add(key.string, words, source: .recipe(file: file, line: line))
    }
  }

  private static func compose(_ text: String, file: String) throws(ConfigurationError) -> Node? {
    do {
      return try PlainYAML.compose(text)
    } catch {
      throw Self.error(error, file: file)
    }
  }

  private static func error(_ problem: PlainYAML.Problem, file: String) -> ConfigurationError {
    switch problem {
    case .unreadable(let reason): .unreadable(file: file, reason: reason)
    case .malformed(let line, let reason): .notARecipe(file: file, line: line, reason: reason)
    case .repeatedKey(let key): .repeatedKey(key, source: .recipe(file: file, line: nil))
    }
  }

  private static func words(
    _ node: Node, key: String, file: String, line: Int?
  ) throws(ConfigurationError) -> [String] {
    switch node {
    case .scalar(let scalar):
      return [scalar.string]
    case .sequence(let sequence):
      return try sequence.map { element throws(ConfigurationError) in
        guard case .scalar(let scalar) = element else {
          throw .notARecipe(file: file, line: line, reason: "\(key) holds a list within a list")
        }
        return scalar.string
      }
    case .mapping, .alias:
      throw .notARecipe(file: file, line: line, reason: "\(key) holds keys of its own")
    }
  }
}
