import Foundation
import Glibc
import TestSupport
import Testing

/// Machines that are folders here: an ssh of the tests' own runs commands with such a folder for a home. Each has a cron,
/// and no systemd, whatever this machine has.
struct Machines {
  private let folder: String

  init(in workshop: Workshop) throws {
    folder = workshop.folder
    try FileManager.default.createDirectory(atPath: folder + "/bin", withIntermediateDirectories: true)
    try program("systemctl", "echo offline; exit 1")
    try program(
      "crontab",
      """
      case $1 in
        -l) cat "$HOME/crontab" 2>/dev/null || { echo "no crontab for you" >&2; exit 1; } ;;
        *) cat >"$HOME/crontab" ;;
      esac
      """)
    try program(
      "ssh",
      """
      while [ "$1" != -- ]; do shift; done
      case $2 in
        gone) echo "ssh: Could not resolve hostname gone: Name or service not known" >&2; exit 255 ;;
        shut) echo "ssh: connect to host shut port 22: Connection refused" >&2; exit 255 ;;
        full) echo "tar: massl: Cannot write: No space left on device" >&2; echo "tar: Exiting" >&2; exit 2 ;;
      esac
      export HOME="\(folder)/$2"
      mkdir -p "$HOME" && cd "$HOME" && exec sh -c "$3"
      """)
  }

  private func program(_ name: String, _ script: String) throws {
    let path = folder + "/bin/\(name)"
    try "#!/bin/sh\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  /// What to start a program through, so that it is on a machine.
  /// - Parameter input: a file that it reads.
  func on(_ machine: String, input: String = "/dev/null") throws -> [String] {
    let home = folder + "/" + machine
    try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    return [
      "/usr/bin/env", "HOME=\(home)", "PATH=\(folder)/bin:/usr/bin:/bin", "/bin/sh", "-c",
      "cd; exec \"$0\" \"$@\" <\(input)",
    ]
  }

  /// Runs a shell's line on a machine, and returns its exit code.
  func shell(_ machine: String, _ line: String) throws -> Int32 {
    let process = Process()
    let words = try on(machine).dropLast(3) + ["/bin/sh", "-c", "cd; \(line)"]
    process.executableURL = URL(fileURLWithPath: words[0])
    process.arguments = Array(words.dropFirst())
    try process.run()
    return try process.exit()
  }

  /// What cron starts after a reboot.
  func crontab(_ machine: String) -> String {
    (try? String(contentsOfFile: "\(folder)/\(machine)/crontab", encoding: .utf8)) ?? ""
  }

  /// Two neighbouring ports that were free a moment ago.
  static func freePort() throws -> Int {
    let ports = (0..<100).lazy.map { _ in Int.random(in: 20_000..<30_000) }
    return try #require(ports.first { isFree($0) && isFree($0 + 1) }, "there are no two free ports")
  }

  private static func isFree(_ port: Int) -> Bool {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    return withUnsafePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
