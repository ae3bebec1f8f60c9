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
  /// Bytes of a recipe's text: ten times what all keys take with a sentence on each.
  public static let recipeBytesAtMost = 128 << 10

  /// Reads a recipe, or a run's `config.yaml`.
  public init(recipeAt path: String) throws(ConfigurationError) {
    let bytes: Data
    do {
      // One byte more than may be, for it may be a pipe, or a device without an end.
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? file.close() }
      bytes = try file.read(upToCount: Self.recipeBytesAtMost + 1) ?? Data()
    } catch CocoaError.fileReadNoSuchFile {
      throw .unreadable(file: path, reason: "there is no such file")
    } catch CocoaError.fileReadNoPermission {
      throw .unreadable(file: path, reason: "permission denied")
    } catch {
      throw .unreadable(file: path, reason: error.localizedDescription)
    }
    guard bytes.count <= Self.recipeBytesAtMost else {
      throw .unreadable(file: path, reason: "it is larger than \(Self.recipeBytesAtMost >> 10) KiB, so no recipe")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .unreadable(file: path, reason: "it is not UTF-8 text")
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

  /// A text that the parser may be given: short, and without names for parts of it. A part that is made of parts that
  /// are made of parts, each named and used ten times, takes the parser longer than anybody lives.
  private static func check(_ text: String, file: String) throws(ConfigurationError) {
    guard text.utf8.count <= recipeBytesAtMost else {
      throw .notARecipe(file: file, line: nil, reason: "it is larger than \(recipeBytesAtMost >> 10) KiB")
    }
    // What may be part of a name; a "&" behind one is within a word.
    func isWord(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"): true
      default: false
      }
    }
    var line = 1
    var (before, beforeThat) = (UInt8(0), UInt8(0))
    for byte in text.utf8 {
      if before == UInt8(ascii: "&"), !isWord(beforeThat), isWord(byte) {
        throw .notARecipe(file: file, line: line, reason: "it names a part of itself with '&', which no key needs")
      }
      if byte == UInt8(ascii: "\n") { line += 1 }
      (beforeThat, before) = (before, byte)
    }
  }

  private static func compose(_ text: String, file: String) throws(ConfigurationError) -> Node? {
    try check(text, file: file)
    do {
      return try Yams.compose(yaml: text)
    } catch YamlError.duplicatedKeysInMapping(let keys, _) {
      throw .repeatedKey(keys.sorted().first ?? "", source: .recipe(file: file, line: nil))
    } catch YamlError.scanner(_, let problem, let mark, _), YamlError.parser(_, let problem, let mark, _),
      YamlError.composer(_, let problem, let mark, _)
    {
      throw .notARecipe(file: file, line: mark.line, reason: problem)
    } catch YamlError.reader(let problem, _, _, _) {
      throw .notARecipe(file: file, line: nil, reason: problem)
    } catch {
      throw .notARecipe(file: file, line: nil, reason: "\(error)")
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
