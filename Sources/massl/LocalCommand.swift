import Foundation

/// A program of this machine's that says a little and ends.
struct LocalCommand {
  let code: Int32
  /// Without its last newline.
  let output: String
  let errors: String

  var lastError: String { errors.split(whereSeparator: \.isNewline).last.map(String.init) ?? "exit code \(code)" }

  /// env's code for a program that is not there.
  static let absent: Int32 = 127

  /// - Parameters:
  ///   - program: a name that PATH knows.
  ///   - input: a text; nothing if nil.
  static func run(_ program: String, _ arguments: [String], input: String? = nil) -> LocalCommand {
    guard let scratch = try? ScratchFolder() else { return LocalCommand(code: absent, output: "", errors: "no room") }
    let file = input.flatMap { text in
      let path = "\(scratch.path)/input"
      return FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) ? path : nil
    }
    return run(program, arguments, inputFile: file, in: scratch)
  }

  /// - Parameter inputFile: what it reads; nothing if nil.
  static func run(
    _ program: String, _ arguments: [String], inputFile: String?, in scratch: ScratchFolder
  ) -> LocalCommand {
    let name = UUID().uuidString
    // Files, not pipes: one that fills up would stop the program.
    let paths = ["\(scratch.path)/\(name).out", "\(scratch.path)/\(name).err"]
    defer { for path in paths { unlink(path) } }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.standardInput = inputFile.flatMap { FileHandle(forReadingAtPath: $0) } ?? FileHandle.nullDevice
    guard paths.allSatisfy({ FileManager.default.createFile(atPath: $0, contents: nil) }) else {
      return LocalCommand(code: absent, output: "", errors: "there is no room in \(scratch.path)")
    }
    process.standardOutput = FileHandle(forWritingAtPath: paths[0]) ?? FileHandle.nullDevice
    process.standardError = FileHandle(forWritingAtPath: paths[1]) ?? FileHandle.nullDevice
    do { try process.run() } catch {
      return LocalCommand(code: absent, output: "", errors: error.localizedDescription)
    }
    process.waitUntilExit()
    func text(_ path: String) -> String {
      var text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
      if text.hasSuffix("\n") { text.removeLast() }
      return text
    }
    let code = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    return LocalCommand(code: code, output: text(paths[0]), errors: text(paths[1]))
  }
}

/// A folder of this process's own, removed with its last use.
final class ScratchFolder: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("massl-\(UUID())").path
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
