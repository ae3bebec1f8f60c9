import Foundation
import Printing
import Testing

struct ShellWordTests {
  @Test func whatIsPlainStaysPlain() {
    #expect("runs/first-2.5_a,b@c:d=e%+".shellWord == "runs/first-2.5_a,b@c:d=e%+")
    #expect("".shellWord == "''" && "my run".shellWord == "'my run'" && "it's".shellWord == "'it'\\''s'")
  }

  @Test(arguments: ["", "a b", "'", "''", "$HOME", "`id`", "a\nb", "\\", "\"", "~", "*", "-n", "é;&|<>()!#"])
  func aShellGivesItBack(text: String) throws {
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = ["-c", "printf %s \(text.shellWord)"]
    let output = Pipe()
    shell.standardOutput = output
    try shell.run()
    shell.waitUntilExit()
    #expect(String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) == text)
  }
}
