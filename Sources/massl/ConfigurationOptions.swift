import ArgumentParser
import Configuration

/// A recipe and the flags that go over it: every configuration key is a flag in kebab case.
struct ConfigurationOptions: ParsableArguments {
  @Option(help: "A recipe: a YAML file of configuration keys.")
  var config: String?

  @Argument(
    parsing: .allUnrecognized,
    help: ArgumentHelp(
      "Configuration keys as flags, such as --batch-size 64; they go over the recipe.", valueName: "--key value"))
  var settings: [String] = []

  /// Recipe first, then flags.
  func layers() throws -> [ConfigurationLayer] {
    do {
      return try (config.map { [try ConfigurationLayer(recipeAt: $0)] } ?? []) + [ConfigurationLayer(flags: pairs())]
    } catch let error as ConfigurationError { throw ValidationError("\(error)") }
  }

  private func pairs() throws -> [(name: String, text: String)] {
    var pairs: [(name: String, text: String)] = []
    var rest = settings[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("--") else { throw ValidationError("'\(word)' is no flag. Flags begin with --.") }
      let flag = word.dropFirst(2)
      if let equals = flag.firstIndex(of: "=") {
        pairs.append((String(flag[..<equals]), String(flag[flag.index(after: equals)...])))
      } else {
        // The name is checked first, so that a mistyped flag is told from one without its value.
        guard let value = rest.popFirst() else {
          _ = try ConfigurationLayer(flags: [(String(flag), "")])
          throw ValidationError("--\(flag) wants a value.")
        }
        pairs.append((String(flag), value))
      }
    }
    return pairs
  }

  /// All keys with their defaults, for `--help`.
  static var keys: String {
    "Configuration keys, as flags or in a recipe (with underscores):\n"
      + ConfigurationKey.all.map { "  --\($0.flag) (\($0.defaultValue)): \($0.help)" }.joined(separator: "\n")
  }
}
