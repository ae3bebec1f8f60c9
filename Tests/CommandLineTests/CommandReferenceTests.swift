import Foundation
import Testing

/// docs/commands.md says what the commands say of themselves.
struct CommandReferenceTests {
  private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../docs/commands.md").standardizedFileURL

  @Test func thePageIsWhatTheHelpSays() throws {
    let made = try CommandReference().markdown
    if ProcessInfo.processInfo.environment["MASSL_WRITE_DOCS"] != nil {
      try Data(made.utf8).write(to: Self.path)
    }
    let page = try String(contentsOf: Self.path, encoding: .utf8)
    let (wanted, found) = (made.components(separatedBy: "\n"), page.components(separatedBy: "\n"))
    let first = zip(wanted, found).first { $0 != $1 }
    #expect(
      page == made,
      """
      docs/commands.md is stale: run make commands, and commit it. It has \(found.count) lines, of \(wanted.count); the \
      first that differs is '\(first?.1 ?? "")', not '\(first?.0 ?? "")'.
      """)
  }
}
