import Foundation
import Telemetry
import Testing

/// A result arrives whole and escaped, or is an error.
struct StandardOutputTests {
  /// What comes out at the other end of a pipe.
  private func written(_ body: (CInt) throws -> Void) throws -> String {
    let pipe = Pipe()
    try body(pipe.fileHandleForWriting.fileDescriptor)
    try pipe.fileHandleForWriting.close()
    return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  }

  @Test func linesAndDocumentsAreEscapedEachInItsWay() throws {
    let text = try written { try StandardOutput.write("run  a\u{1b}[31m\n\nhost \u{202e}", to: $0) }
    #expect(text == "run  a\\u{1b}[31m\n\nhost \\u{202e}\n")
    let json = try written { try StandardOutput.write(json: "{\n\"host\": \"\u{7f}\u{2066}é\"}", to: $0) }
    #expect(json == "{\n\"host\": \"\\u007f\\u2066é\"}\n")
  }

  @Test func aReaderThatWentAwayAndADiskThatIsFullAreToldApart() throws {
    // As `main` has it; nobody else of this process may be ended by it either.
    signal(SIGPIPE, SIG_IGN)
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    #expect(throws: OutputError.closedPipe) {
      try StandardOutput.write("nobody", to: pipe.fileHandleForWriting.fileDescriptor)
    }
    let full = open("/dev/full", O_WRONLY)
    defer { close(full) }
    #expect(throws: OutputError.failed(reason: "No space left on device")) { try StandardOutput.write("x", to: full) }
    #expect(throws: OutputError.failed(reason: "Bad file descriptor")) { try StandardOutput.write("x", to: -1) }
  }

  @Test func aPipeThatIsFullForNowIsWaitedFor() throws {
    let reader = Process()
    reader.executableURL = URL(fileURLWithPath: "/usr/bin/wc")
    reader.arguments = ["-c"]
    let (text, count) = (Pipe(), Pipe())
    (reader.standardInput, reader.standardOutput) = (text, count)
    let writing = text.fileHandleForWriting.fileDescriptor
    _ = fcntl(writing, F_SETFL, O_NONBLOCK)
    try reader.run()
    try StandardOutput.write(String(repeating: "x", count: 1 << 20), to: writing)
    try text.fileHandleForWriting.close()
    try reader.exit()
    #expect(String(decoding: count.fileHandleForReading.availableData, as: UTF8.self) == "1048577\n")
  }
}
