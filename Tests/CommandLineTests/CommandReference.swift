import Configuration
import Foundation
import massl

/// `docs/commands.md`, made from what the commands say of themselves.
struct CommandReference {
  private let program: Command

  init() throws {
    program = try JSONDecoder().decode(Dump.self, from: Data(Massl._dumpHelp().utf8)).command
  }

  var markdown: String {
    let commands = (program.subcommands ?? []).filter { $0.commandName != "help" }
    return ([Self.opening] + commands.flatMap { sections(of: $0, after: "massl") } + [Self.keys(commands)])
      .joined(separator: "\n\n") + "\n"
  }

  private static let opening = """
    # Commands

    `make commands` writes this page from what `massl COMMAND --help` says. A test compares the two.

    Results go to standard output. Log and progress go to standard error. `--json` prints one object for programs. A
    coordinator's log also goes to `coordinator.log` in its run directory.

    ## Exit codes

    | code | meaning |
    | --- | --- |
    | 0 | The command did what it was asked, or was stopped as asked. |
    | 1 | It failed. |
    | 64 | Flags, recipe, folders or files need another look. |
    | 65 | Do not start it again: it would fail in the same way. Damaged checkpoints, a worker in quarantine, a step whose gradient is not finite, a processor without AVX2. |
    | 75 | Try again: another coordinator has the run, the port is taken, the disk is full. |
    | 141 | Nobody reads the results any more, as after `massl status --run DIR \\| head -1`. |
    """
}

// MARK: - What the parser dumps

extension CommandReference {
  private struct Dump: Decodable {
    let command: Command
  }

  private struct Command: Decodable {
    let commandName: String
    let abstract: String?
    let discussion: String?
    let subcommands: [Command]?
    let arguments: [Argument]?
  }

  private struct Argument: Decodable {
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

// MARK: - Commands

extension CommandReference {
  private func sections(of command: Command, after name: String) -> [String] {
    let name = "\(name) \(command.commandName)"
    let (parts, own) = (command.subcommands?.filter { $0.commandName != "help" } ?? [], arguments(of: command))
    var text = ["## \(name)", Self.prose([command.abstract, command.discussion].compactMap(\.self))]
    if parts.isEmpty || !own.isEmpty { text.append("```\n\(usage(name, command))\n```") }
    if !own.isEmpty {
      text.append(Self.table(["flag", "what it says"], own.map { [Self.name(of: $0), Self.help(of: $0)] }))
    }
    if Self.takesKeys(command) { text.append("It also takes every [key of a run](#keys-of-a-run) as a flag.") }
    return [text.joined(separator: "\n\n")] + parts.flatMap { sections(of: $0, after: name) }
  }

  private func arguments(of command: Command) -> [Argument] {
    (command.arguments ?? []).filter {
      $0.shouldDisplay && $0.sectionTitle != Self.keySection && !["help", "version"].contains($0.preferredName?.name)
    }
  }

  private func usage(_ name: String, _ command: Command) -> String {
    let needed = arguments(of: command).filter { !$0.isOptional }.map { argument in
      let value = "<\(argument.valueName ?? "value")>" + (argument.isRepeating ? "..." : "")
      return argument.kind == .positional ? value : "--\(argument.preferredName?.name ?? "") \(value)"
    }
    return ([name] + needed + ["[options]"]).joined(separator: " ")
  }
}

// MARK: - Keys

extension CommandReference {
  private static let keySection = "Settings of the run"

  private static func takesKeys(_ command: Command) -> Bool {
    command.arguments?.contains { $0.sectionTitle == keySection && $0.shouldDisplay } ?? false
  }

  private static func keys(_ commands: [Command]) -> String {
    let flags = commands.first { $0.commandName == "coordinator" }?.arguments ?? []
    let rows = ConfigurationKey.all.compactMap { key in
      flags.first { $0.preferredName?.name == key.flag }.map { flag in
        ["`\(key.name)`", "`\(flag.valueName ?? "")`", key.help, "`\(key.defaultValue)`", change(key.kind)]
      }
    }
    return """
      ## Keys of a run

      A recipe is YAML, one `key: value` a line. Every key is also a flag, with dashes: `batch_size` is `--batch-size`.
      The last column says when a key may change:

      | | |
      | --- | --- |
      | never | massl refuses a resume that changes it. `massl fork` starts a new run with another value. |
      | on request | `--change key=value` on resume changes it from the newest checkpoint on. Checkpoints record that. |
      | always | Any start may change it. No bit of the result depends on it. |

      \(table(["key", "value", "what it says", "default", "may change"], rows))
      """
  }

  private static func change(_ kind: ConfigurationKey.Kind) -> String {
    switch kind {
    case .identity: "never"
    case .trajectory: "on request"
    case .operational: "always"
    }
  }
}

// MARK: - Markdown

extension CommandReference {
  /// Examples are indented in the help, and lines of code here.
  private static func prose(_ texts: [String]) -> String {
    texts.map { text in
      text.components(separatedBy: "\n\n").map { paragraph in
        let lines = paragraph.components(separatedBy: "\n")
        guard lines.allSatisfy({ $0.hasPrefix("  ") }) else { return paragraph }
        return (["```"] + lines.map { String($0.dropFirst(2)) } + ["```"]).joined(separator: "\n")
      }.joined(separator: "\n\n")
    }.joined(separator: "\n\n")
  }

  private static func name(of argument: Argument) -> String {
    let value = argument.kind == .flag ? "" : "<\(argument.valueName ?? "value")>"
    guard argument.kind != .positional, let name = argument.preferredName?.name else { return "`\(value)`" }
    return "`--\(name)\(value.isEmpty ? "" : " ")\(value)`"
  }

  private static func help(of argument: Argument) -> String {
    // The parser leaves an option's default out of its help text.
    let text = argument.abstract ?? ""
    let hasDefault = text.contains("(default:")
    guard let value = argument.defaultValue, !hasDefault, argument.kind != .flag else { return text }
    return "\(text) (default: \(value))"
  }

  private static func table(_ columns: [String], _ rows: [[String]]) -> String {
    ([columns, columns.map { _ in "---" }] + rows)
      .map {
        "| " + $0.map { $0.replacing("|", with: "\\|").replacing("\n", with: " ") }.joined(separator: " | ") + " |"
      }
      .joined(separator: "\n")
  }
}
