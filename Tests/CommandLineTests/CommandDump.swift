import Configuration
import Foundation
import massl

/// What the commands say of themselves, as the parser dumps it: what `docs/commands.md` and the manual page are made from.
struct CommandDump {
  private let program: Command

  init() throws {
    struct Dump: Decodable { let command: Command }
    program = try JSONDecoder().decode(Dump.self, from: Data(Massl._dumpHelp().utf8)).command
  }

  var abstract: String { program.abstract ?? "" }
  var discussion: String { program.discussion ?? "" }
  var commands: [Command] { program.parts }

  /// The keys of a run, each with its flag.
  var keys: [(key: ConfigurationKey, flag: Argument)] {
    let flags = commands.first { $0.commandName == "coordinator" }?.arguments ?? []
    return ConfigurationKey.all.compactMap { key in
      flags.first { $0.preferredName?.name == key.flag }.map { (key, $0) }
    }
  }

  static let exitCodes: [(code: Int, meaning: String)] = [
    (0, "The command did what it was asked, or was stopped as asked."),
    (1, "It failed."),
    (64, "Flags, recipe, folders or files need another look."),
    (
      65,
      "Do not start it again: it would fail in the same way. Damaged checkpoints, a worker in quarantine, a step whose "
        + "gradient is not finite, a processor without AVX2."
    ),
    (75, "Try again: another coordinator has the run, the port is taken, the disk is full."),
    (141, "Nobody reads the results any more, as after `massl status --run DIR | head -1`."),
  ]
}

extension CommandDump {
  struct Command: Decodable {
    let commandName: String
    let abstract: String?
    let discussion: String?
    let subcommands: [Command]?
    let arguments: [Argument]?
  }

  struct Argument: Decodable {
    enum Kind: String, Decodable { case positional, option, flag }
    struct Name: Decodable { let name: String }

    let kind: Kind
    let shouldDisplay: Bool
    let sectionTitle: String?
    let isOptional: Bool
    let isRepeating: Bool
    let preferredName: Name?
    let valueName: String?
    let defaultValue: String?
    let abstract: String?
  }
}

extension CommandDump.Command {
  private static let keySection = "Settings of the run"

  var parts: [Self] { (subcommands ?? []).filter { $0.commandName != "help" } }

  /// Whether it does anything by itself.
  var isCalled: Bool { parts.isEmpty || !ownArguments.isEmpty }

  /// Those that are no keys of a run.
  var ownArguments: [CommandDump.Argument] {
    (arguments ?? []).filter {
      $0.shouldDisplay && $0.sectionTitle != Self.keySection && !["help", "version"].contains($0.preferredName?.name)
    }
  }

  var takesKeys: Bool { arguments?.contains { $0.sectionTitle == Self.keySection && $0.shouldDisplay } ?? false }

  /// - Parameter name: all its words, from "massl" on.
  func usage(_ name: String) -> String {
    let needed = ownArguments.filter { !$0.isOptional }.map { argument in
      let value = "<\(argument.valueName ?? "value")>" + (argument.isRepeating ? "..." : "")
      return argument.kind == .positional ? value : "--\(argument.preferredName?.name ?? "") \(value)"
    }
    return ([name] + needed + ["[options]"]).joined(separator: " ")
  }
}

extension CommandDump.Argument {
  /// "--run <folder>".
  var words: String {
    let value = kind == .flag ? "" : "<\(valueName ?? "value")>"
    guard kind != .positional, let name = preferredName?.name else { return value }
    return "--\(name)\(value.isEmpty ? "" : " ")\(value)"
  }

  /// The parser leaves an option's default out of its help text.
  var help: String {
    let text = abstract ?? ""
    guard let value = defaultValue, !text.contains("(default:"), kind != .flag else { return text }
    return "\(text) (default: \(value))"
  }
}

extension ConfigurationKey.Kind {
  /// When it may change.
  var change: String {
    switch self {
    case .identity: "never"
    case .trajectory: "on request"
    case .operational: "always"
    }
  }
}
