import Foundation
import Logging
import Telemetry
import Testing

/// A log line is one line with time, level, message and values; the file that takes it stays small.
struct LogTests {
  @Test func lineHasTimeLevelMessageAndSortedValues() {
    let line = LogLine.render(
      time: "T", level: .warning, label: "coordinator", message: "worker lost", values: ["step": "4", "peer": "w1"])
    #expect(line == "T warning coordinator: worker lost peer=w1 step=4")
  }

  @Test func lineBreaksInTheTextAreNone() {
    let line = LogLine.render(
      time: "T", level: .info, label: "l", message: "a\nb\r\n2026 error forged", values: ["k": "x\ny"])
    #expect(line == "T info l: a | b | 2026 error forged k=x | y")
  }

  @Test(arguments: [
    (0, 0, "1970-01-01T00:00:00.000Z"), (951_827_696, 7_999_999, "2000-02-29T12:34:56.007Z"),
    (1_795_513_265, 999_999_999, "2026-11-24T09:41:05.999Z"),
  ])
  func timestampIsUTC(seconds: Int, nanoseconds: Int, text: String) {
    #expect(LogLine.timestamp(seconds: seconds, nanoseconds: nanoseconds) == text)
  }

  @Test func handlerWritesToConsoleAndFileWhatItsLevelLetsThrough() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "massl.log")
      let console = try ConsoleTests.written(toTerminal: false) { console in
        let output = LogOutput(console: console)
        var logger = Logger(label: "worker") { RunLogHandler(output: output, label: $0, logLevel: .info) }
        logger.warning("before the run directory is known")
        try output.attach(file: file.path)
        logger[metadataKey: "step"] = "3"
        logger.debug("not shown")
        logger.info("joined", metadata: ["peer": "a"])
      }
      let lines = console.split(separator: "\n").map { $0.drop { $0 != " " } }
      #expect(lines == [" warning worker: before the run directory is known", " info worker: joined peer=a step=3"])
      #expect(try text(of: file).hasSuffix(" info worker: joined peer=a step=3\n"))
      #expect(try text(of: file).split(separator: "\n").count == 1)
    }
  }

  @Test func whatDoesNotShowIsEscapedInTheFileToo() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "massl.log")
      _ = try ConsoleTests.written(toTerminal: false) { console in
        let output = LogOutput(console: console)
        try output.attach(file: file.path)
        output.write(line: "host '\u{1b}]0;title\u{7}\u{2067}a\nb'")
      }
      #expect(try text(of: file) == "host '\\u{1b}]0;title\\u{7}\\u{2067}a\\nb'\n")
    }
  }

  @Test func fullFileIsRotatedAndTheOldestGoes() throws {
    try withTemporaryFolder { folder in
      let file = folder.appending(path: "massl.log")
      _ = try ConsoleTests.written(toTerminal: false) { console in
        let output = LogOutput(console: console)
        try output.attach(file: file.path, bytesAtMost: 40, olderKept: 2)
        for number in 100..<140 { output.write(line: "line \(number)") }
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      #expect(names == ["massl.log", "massl.log.1", "massl.log.2"])
      let kept = try names.reversed().map { try text(of: folder.appending(path: $0)) }.joined()
      #expect(kept == (128..<140).map { "line \($0)\n" }.joined())
    }
  }

  @Test func fileThatTakesNothingIsToldOfOnce() throws {
    let written = try ConsoleTests.written(toTerminal: false) { console in
      let output = LogOutput(console: console)
      try output.attach(file: "/dev/full")
      for number in 1...3 { output.write(line: "line \(number)") }
    }
    #expect(
      written
        == "line 1\nCannot write to /dev/full: No space left on device. The log goes on here.\nline 2\nline 3\n")
  }
}
