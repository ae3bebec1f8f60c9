import Foundation

/// The program itself, as a user starts it.
public enum Program {
  /// How it ended, and what it said.
  public struct Ended: Sendable {
    /// The exit code; a signal's number where `wasKilled`.
    public let status: Int32
    public let wasKilled: Bool
    public let output: String
    public let errors: String
  }

  /// In the build folder, in or beside which the test bundle lies.
  public static let path: String = {
    var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      let candidate = folder.appendingPathComponent("massl").path
      if FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
    }
    return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent(".build/release/massl").path
  }()

  /// What runs a program in a mount namespace of its own, once a shell's script prepared that.
  public static func inMounts(_ script: String) -> [String] {
    ["/usr/bin/unshare", "--mount", "sh", "-ec", "\(script); exec \"$0\" \"$@\""]
  }

  /// Starts it; what it says goes nowhere, or to the end of a file.
  /// - Parameter through: a command that becomes it, as `VirtualHosts` and `inMounts` have.
  public static func start(_ arguments: [String], log: String? = nil, through: [String] = []) throws -> Process {
    let process = process(arguments, through: through)
    var output = FileHandle.nullDevice
    if let log {
      if !FileManager.default.fileExists(atPath: log) { try Data().write(to: URL(fileURLWithPath: log)) }
      output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
      try output.seekToEnd()
    }
    process.standardError = output
    process.standardOutput = output
    try process.run()
    return process
  }

  /// Runs it to its end.
  /// - Parameters:
  ///   - through: as for `start`.
  ///   - limit: seconds after which it gets the signal, and half a minute later SIGKILL.
  public static func run(
    _ arguments: [String], through: [String] = [], limit: Double = 60, signal: Int32 = SIGKILL
  ) throws -> Ended {
    let process = process(arguments, through: through)
    // Files, not pipes: one that fills up would stop the program.
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("massl-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = ["output", "errors"].map { folder.appendingPathComponent($0) }
    for file in files { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: files[0])
    process.standardError = try FileHandle(forWritingTo: files[1])
    try process.run()
    for (seconds, number) in [(limit, signal), (30, SIGKILL)] {
      if !eventually(within: seconds, { !process.isRunning }) { kill(process.processIdentifier, number) }
    }
    process.waitUntilExit()
    let texts = try files.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
    return Ended(
      status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal, output: texts[0],
      errors: texts[1])
  }

  private static func process(_ arguments: [String], through: [String] = []) -> Process {
    let process = Process()
    let words = through + [path] + arguments
    process.executableURL = URL(fileURLWithPath: words[0])
    process.arguments = Array(words.dropFirst())
    return process
  }
}
