import Configuration
import Foundation

/// `docs/commands.md`, made from what the commands say of themselves.
struct CommandReference {
  private let program: CommandDump

  init() throws { program = try CommandDump() }

  var markdown: String {
    ([Self.opening] + program.commands.flatMap { sections(of: $0, after: "massl") } + [keys])
      .joined(separator: "\n\n") + "\n"
  }

  private static let opening = """
    # Commands

    `make commands` writes this page from what `massl COMMAND --help` says. A test compares the two.

    Results go to standard output. Log and progress go to standard error. `--json` prints one object for programs. A
    coordinator's log also goes to `coordinator.log` in its run directory.

    ## Exit codes

    \(table(["code", "meaning"], CommandDump.exitCodes.map { ["\($0.code)", $0.meaning] }))
    """
}

// MARK: - Commands

extension CommandReference {
  private func sections(of command: CommandDump.Command, after name: String) -> [String] {
    let name = "\(name) \(command.commandName)"
    var text = ["## \(name)", Self.prose([command.abstract, command.discussion].compactMap(\.self))]
    if command.isCalled { text.append("```\n\(command.usage(name))\n```") }
    if !command.ownArguments.isEmpty {
      let rows = command.ownArguments.map { ["`\($0.words)`", $0.help] }
      text.append(Self.table(["flag", "what it says"], rows))
    }
    if command.takesKeys { text.append("It also takes every [key of a run](#keys-of-a-run) as a flag.") }
    return [text.joined(separator: "\n\n")] + command.parts.flatMap { sections(of: $0, after: name) }
  }
}

// MARK: - Keys

extension CommandReference {
  private var keys: String {
    let rows = program.keys.map { key, flag in
      ["`\(key.name)`", "`\(flag.valueName ?? "")`", key.help, "`\(key.defaultValue)`", key.kind.change]
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

      \(Self.table(["key", "value", "what it says", "default", "may change"], rows))
      """
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

  private static func table(_ columns: [String], _ rows: [[String]]) -> String {
    ([columns, columns.map { _ in "---" }] + rows)
      .map {
        "| " + $0.map { $0.replacing("|", with: "\\|").replacing("\n", with: " ") }.joined(separator: " | ") + " |"
      }
      .joined(separator: "\n")
  }
}
