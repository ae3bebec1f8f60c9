import Foundation
import Launching
import Synchronization
import Threads

/// The machines of a cluster, through the system's ssh.
struct RemoteHosts {
  /// Of ssh, in place of the user's; nil for that.
  let configuration: String?
  private let scratch: ScratchFolder

  init(configuration: String?) throws {
    self.configuration = configuration
    scratch = try ScratchFolder()
  }

  /// Runs a command on a machine, and returns what it wrote to standard output.
  /// - Parameter inputFile: what it reads; nothing if nil.
  /// - Throws: `LaunchError.unreachable`, `.notStarted`, `.failed` with its last words.
  func run(_ command: RemoteCommand, on host: ClusterHost, inputFile: String? = nil) throws(LaunchError) -> String {
    let ended = LocalCommand.run(
      "ssh", command.arguments(on: host, configuration: configuration), inputFile: inputFile, in: scratch)
    switch ended.code {
    case 0: return ended.output
    case LocalCommand.absent where ended.errors.contains("ssh"): throw .noSSH
    case 255: throw .unreachable(host: host.name, SSHFailure(ended.errors))
    case RemoteCommand.notInstalled: throw .notStarted(host: host.name)
    default:
      throw .failed(host: host.name, words: RemoteCommand.reason(in: ended.errors, code: ended.code))
    }
  }

  /// As `run`, with a text to read.
  func run(_ command: RemoteCommand, on host: ClusterHost, input: String) throws(LaunchError) -> String {
    let path = "\(scratch.path)/\(UUID().uuidString).in"
    guard FileManager.default.createFile(atPath: path, contents: Data(input.utf8)) else {
      throw .failed(host: host.name, words: "this machine has no room for a temporary file in \(scratch.path).")
    }
    defer { unlink(path) }
    return try run(command, on: host, inputFile: path)
  }

  /// A JSON object that a command there prints, in its last line that begins one.
  func value<Value: Decodable>(
    _ type: Value.Type, of command: RemoteCommand, on host: ClusterHost
  ) throws(LaunchError) -> Value {
    let output = try run(command, on: host)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let line = output.split(whereSeparator: \.isNewline).last(where: { $0.hasPrefix("{") }),
      let value = try? decoder.decode(type, from: Data(line.utf8))
    else { throw .unreadableAnswer(host: host.name) }
    return value
  }

  /// Runs a command on a machine until it ends or this process is stopped, and hands over each line that it writes.
  func follow(
    _ command: RemoteCommand, on host: ClusterHost, until isOver: () -> Bool,
    _ take: @escaping @Sendable (String) -> Void
  ) throws(LaunchError) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["ssh"] + command.arguments(on: host, configuration: configuration)
    process.standardInput = FileHandle.nullDevice
    let output = LinePipe(take)
    process.standardOutput = output.pipe
    process.standardError = output.pipe
    do { try process.run() } catch { throw .noSSH }
    output.begin()
    while process.isRunning, !isOver() { Thread.sleep(forTimeInterval: 0.1) }
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
    output.finish()
    if process.terminationReason == .exit, process.terminationStatus == RemoteCommand.notInstalled {
      throw .notStarted(host: host.name)
    }
  }
}
