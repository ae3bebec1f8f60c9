import Foundation
import TestSupport
import Testing

/// A result that does not arrive is a failure, whatever the command; a reader that has enough is none.
@Suite(.serialized, .ownThreads) struct OutputTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  /// A run with a checkpoint, and each command that writes a result.
  /// - Parameter coordinator: the address of one that runs.
  private func commands(_ coordinator: String) throws -> [[String]] {
    let short = ["--max-steps", "2", "--checkpoint-every-steps", "1"]
    #expect(try Program.run(workshop.arguments("r") + short).status == 0)
    let run = workshop.run("r")
    let small = Workshop.recipe + ["--threads", "1", "--rounds", "1"]
    let asked = ["memory", "list", "--coordinator", coordinator]
    let figures = [
      "plan", "--gflops", "100", "--copy", "10", "--workers", "1", "--threads", "1",
    ]
    return [
      ["--help"], ["train", "--help"], ["help", "status"], ["--generate-completion-script", "bash"],
      ["status", "--run", run], ["status", "--run", run, "--json"], ["status", "--run", run, "--watch"],
      ["inspect", run], ["inspect", run, "--json"],
      ["evaluate", "knn", "--run", run, "--train", workshop.data, "--test", workshop.folder + "/test", "--k", "1"],
      ["evaluate", "cluster", "--run", run, "--pictures", workshop.folder + "/test"],
      ["export", "--run", run, "--out", Self.new], ["fork", "--run", run, "--to", Self.new],
      ["replay", "--run", run, "--data", workshop.data, "--step", "1"], ["keygen", "--out", Self.new],
      ["synthesize", "--out", Self.new, "--images", "10"],
      ["verify", Self.goldenCase], figures + Workshop.recipe, figures + ["--json"] + Workshop.recipe,
      ["bench", "update"] + small, ["bench", "update", "--json"] + small,
      ["bench", "loader", "--data", workshop.data] + small, ["bench", "memory", "--fill", "256"] + small,
      ["status", "--coordinator", coordinator], asked, asked + ["--json"],
    ]
  }

  /// In the place of a path that must not be there yet.
  private static let new = "NEW"

  private func withNewPath(_ command: [String]) -> [String] {
    command.map { $0 == Self.new ? workshop.folder + "/\(UUID())" : $0 }
  }

  /// The smallest of the committed cases.
  private static let goldenCase = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Golden/schedules.json").path

  @Test func whatCannotBeWrittenIsSaidAndAClosedPipeIsQuiet() throws {
    let owner = try Program.start(workshop.coordinator("waiting", "tcp://127.0.0.1:0"))
    defer { kill(owner.processIdentifier, SIGKILL) }
    for command in try commands(workshop.address("waiting")) {
      for (redirection, reason) in [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")] {
        let ended = try Program.run(
          withNewPath(command), through: ["/bin/sh", "-c", "exec \"$0\" \"$@\" \(redirection)"])
        #expect(ended.status == 1 && !ended.wasKilled, "\(command) \(redirection): \(ended)")
        #expect(
          ended.errors.contains("Error: The result could not be written to standard output: \(reason)."),
          "\(command) \(redirection): \(ended)")
      }
      let (status, errors) = try endedWithoutAReader(withNewPath(command))
      // Progress goes on; of the pipe there is no word.
      #expect(status == 141 && !errors.contains("Error"), "\(command): \(status), \(errors)")
    }
  }

  /// How a command ends whose output is a pipe that nobody reads, and what it says about it.
  private func endedWithoutAReader(_ command: [String]) throws -> (Int32, String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Program.path)
    process.arguments = command
    let (output, errors) = (Pipe(), Pipe())
    try output.fileHandleForReading.close()
    (process.standardOutput, process.standardError) = (output, errors)
    try process.run()
    try errors.fileHandleForWriting.close()
    let text = try errors.fileHandleForReading.readToEnd() ?? Data()
    try process.exit()
    return (process.terminationStatus, String(decoding: text, as: UTF8.self))
  }

  @Test func aClosedStandardOutputIsNoPlaceForAFile() throws {
    // Left closed, its number would be a checkpoint's, and results would go there.
    let key = workshop.folder + "/key"
    let ended = try Program.run(
      ["keygen", "--out", key], through: ["/bin/sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"])
    #expect(ended.status == 1)
    let text = try String(contentsOfFile: key, encoding: .utf8)
    #expect(text.split(separator: "\n").count == 3 && text.hasPrefix("# massl key pair."))
  }
}
