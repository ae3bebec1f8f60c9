import Foundation
import Testing

/// docs/commands.md and the manual page say what the commands say of themselves.
struct CommandReferenceTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../docs").standardizedFileURL

  @Test(arguments: ["commands.md", "massl.1"]) func thePageIsWhatTheHelpSays(name: String) throws {
    let made = try name == "massl.1" ? ManualPage().roff : CommandReference().markdown
    let path = Self.folder.appendingPathComponent(name)
    if ProcessInfo.processInfo.environment["MASSL_WRITE_DOCS"] != nil {
      try Data(made.utf8).write(to: path)
    }
    let page = try String(contentsOf: path, encoding: .utf8)
    let (wanted, found) = (made.components(separatedBy: "\n"), page.components(separatedBy: "\n"))
    let first = zip(wanted, found).first { $0 != $1 }
    #expect(
      page == made,
      """
      docs/\(name) is stale: run make commands, and commit it. It has \(found.count) lines, of \(wanted.count); the first \
      that differs is '\(first?.1 ?? "")', not '\(first?.0 ?? "")'.
      """)
  }
}
