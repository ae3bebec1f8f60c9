import Configuration
import Foundation

/// `docs/massl.1`, what `man massl` shows, made from what the commands say of themselves.
struct ManualPage {
  private let program: CommandDump

  init() throws { program = try CommandDump() }

  /// Requests of man(7), a line each.
  var roff: String {
    ([
      ".\\\" Written by 'make commands' from what the commands say of themselves; a test compares the two.",
      ".TH MASSL 1 \"\" massl \"User Commands\"", ".SH NAME",
      "massl \\- " + Self.escaped(program.abstract.prefix(1).lowercased() + program.abstract.dropFirst().dropLast()),
      ".SH SYNOPSIS", ".B massl", ".I command", "[options]", ".SH DESCRIPTION", Self.prose(program.discussion),
      ".SH COMMANDS",
    ] + program.commands.flatMap { sections(of: $0, after: "massl") } + keys + Self.exitCodes)
    .joined(separator: "\n") + "\n"
  }

  private func sections(of command: CommandDump.Command, after name: String) -> [String] {
    let name = "\(name) \(command.commandName)"
    var lines = [".SS \(Self.escaped(name))", Self.prose(command.abstract ?? "")]
    if command.isCalled { lines += Self.example([command.usage(name)]) }
    if let discussion = command.discussion { lines += [".PP", Self.prose(discussion)] }
    lines += command.ownArguments.flatMap { Self.entry($0.words, $0.help) }
    if command.takesKeys { lines += [".PP", "It also takes every key of a run as a flag."] }
    return lines + command.parts.flatMap { sections(of: $0, after: name) }
  }

  private var keys: [String] {
    [
      ".SH KEYS OF A RUN",
      Self.prose(
        """
        A recipe is YAML, one 'key: value' a line. Every key is also a flag, with dashes: batch_size is --batch-size.
        A key may change never (massl refuses a resume that changes it; 'massl fork' starts a new run with another
        value), on request ('--change key=value' on resume), or always (no bit of the result depends on it).
        """),
    ]
      + program.keys.flatMap { key, flag in
        Self.entry(
          "\(key.name): <\(flag.valueName ?? "value")>",
          "\(key.help) (default: \(key.defaultValue)). May change: \(key.kind.change).")
      }
  }

  private static var exitCodes: [String] {
    [".SH EXIT STATUS"] + CommandDump.exitCodes.flatMap { entry("\($0.code)", $0.meaning) }
  }
}

// MARK: - Roff

extension ManualPage {
  /// A term in bold and what is said of it.
  private static func entry(_ term: String, _ text: String) -> [String] {
    [".TP", "\\fB\(escaped(term))\\fR", prose(text)]
  }

  /// Lines as they are.
  private static func example(_ lines: [String]) -> [String] { [".PP", ".nf"] + lines.map(escaped) + [".fi"] }

  /// Paragraphs; examples are indented in the help.
  private static func prose(_ text: String) -> String {
    text.components(separatedBy: "\n\n").map { paragraph in
      let lines = paragraph.components(separatedBy: "\n")
      return (lines.allSatisfy { $0.hasPrefix("  ") } ? example(lines) : lines.map(escaped)).joined(separator: "\n")
    }.joined(separator: "\n.PP\n")
  }

  /// Text in which nothing is a request, and a dash is one that can be copied.
  private static func escaped(_ text: String) -> String {
    let text = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
    return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" + text : text
  }
}
