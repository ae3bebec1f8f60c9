import Foundation
import Launching
import Processes
import Services
import Telemetry

/// Who keeps a service running on this machine, and brings it back with the machine.
///
/// A user's systemd does where it answers and outlives the user's logins. Else the supervisor is a process in a session
/// of its own, and cron starts it after a reboot.
struct ServiceStarter {
  let folder: ServiceFolder
  let service: ServiceDescription

  /// From one look to the next, in seconds, and how long to look.
  private static let pause = 0.05
  private static let patience = 20.0

  private var unit: UserUnit { UserUnit(service, folder: folder.path) }
  private var unitFolder: String { "\(NSHomeDirectory())/.config/systemd/user" }

  /// Returns once the supervisor runs.
  /// - Parameter atBoot: by what brings it back: nothing is arranged anew.
  /// - Returns: who keeps it, in a sentence.
  /// - Throws: `RunFailure.failed` with the end of the log; `ProcessError`.
  func start(atBoot: Bool) throws -> String {
    try folder.forgetState()
    if hasSystemd {
      try FileManager.default.createDirectory(atPath: unitFolder, withIntermediateDirectories: true)
      try unit.text.write(toFile: "\(unitFolder)/\(unit.name)", atomically: true, encoding: .utf8)
      for words in [["daemon-reload"], ["enable", unit.name], ["restart", unit.name]] {
        let ended = LocalCommand.run("systemctl", ["--user"] + words)
        guard ended.code == 0 else { throw RunFailure.failed("systemctl --user \(words[0]): \(ended.lastError)") }
      }
      try awaitSupervisor()
      return "kept by systemd (\(unit.name)), also after a reboot"
    }
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    var process = try DetachedProcess(
      program, ["service", "run", folder.path], environment: ProcessInfo.processInfo.environment,
      log: "\(folder.path)/supervisor.log")
    try awaitSupervisor {
      guard let end = process.ended(), end != .code(0) else { return }
      var said = FollowedFile("\(folder.path)/supervisor.log", lastLines: 1)
      throw RunFailure.failed(
        "The supervisor of \(service.name) ended with \(end). \(said.newLines().last ?? "It said nothing.")")
    }
    return
      "kept by a process of its own, \(atBoot || comesBackByCron() ? "which cron starts after a reboot" : Self.stays)"
  }

  private static let stays =
    "which nothing starts after a reboot: there is neither a systemd for users with lingering nor crontab. 'massl launch "
    + "start' does it"

  /// Ends the supervisor, and with it the process; returns when both have ended.
  func stop() throws {
    if FileManager.default.fileExists(atPath: "\(unitFolder)/\(unit.name)"), hasSystemd {
      _ = LocalCommand.run("systemctl", ["--user", "disable", "--now", unit.name])
    }
    guard let supervisor = try folder.supervisor() else { return }
    do { try supervisor.send(SIGTERM) } catch ProcessError.ended { return }
    while supervisor.isRunning { Thread.sleep(forTimeInterval: Self.pause) }
  }

  /// Nothing brings it back any more.
  func forget() {
    try? FileManager.default.removeItem(atPath: "\(unitFolder)/\(unit.name)")
    if let table = BootTable.removing(folder: folder.path, from: Self.table) { Self.setTable(table) }
  }

  private func awaitSupervisor(_ check: () throws -> Void = {}) throws {
    let deadline = Date() + Self.patience
    while try folder.supervisor() == nil || folder.state?.process == nil {
      // One that ended at once has come to an end of its own: status says which.
      if folder.state?.exitCode != nil { return }
      try check()
      guard Date() < deadline else {
        throw RunFailure.failed("\(service.name) has not begun after \(Int(Self.patience)) s: see \(folder.logPath).")
      }
      Thread.sleep(forTimeInterval: Self.pause)
    }
  }
}

// MARK: - What this machine has

extension ServiceStarter {
  /// Whether a systemd of this user's answers, and stays when the user leaves.
  private var hasSystemd: Bool {
    let answer = LocalCommand.run("systemctl", ["--user", "is-system-running"]).output
    guard ["running", "degraded", "starting"].contains(answer) else { return false }
    func lingers() -> Bool {
      LocalCommand.run("loginctl", ["show-user", NSUserName(), "--property=Linger", "--value"]).output == "yes"
    }
    return lingers() || LocalCommand.run("loginctl", ["enable-linger"]).code == 0 && lingers()
  }

  /// Has cron start it, if there is one.
  private func comesBackByCron() -> Bool {
    guard let table = BootTable.adding(service, folder: folder.path, to: Self.table) else { return true }
    return Self.setTable(table)
  }

  private static var table: String { LocalCommand.run("crontab", ["-l"]).output }

  @discardableResult
  private static func setTable(_ text: String) -> Bool {
    LocalCommand.run("crontab", ["-"], input: text).code == 0
  }
}
