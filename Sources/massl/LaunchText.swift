import Launching
import Runs
import Services

/// What `massl launch` shows people.
enum LaunchText {
  static func line(_ status: HostStatus) -> String {
    var words = status.state.rawValue
    if let process = status.process { words += ", process \(process)" }
    if status.starts > 1 { words += ", started \(status.starts) times" }
    if status.state != .running, let end = status.lastEnd { words += ", after \(end)" }
    if let log = status.log, [.ended, .down, .restarting].contains(status.state) || BulkSilence.isSaid(in: log) {
      words += ": \(log)"
    }
    return line(status.name, status.role, words)
  }

  static func line(_ name: String, _ role: ClusterHost.Role, _ words: String) -> String {
    "\(name.padding(to: 16)) \(role.rawValue.padding(to: 11)) \(words)"
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// How the machines of a cluster are, and its run.
struct ClusterStatus: Codable {
  struct Host: Codable {
    var name: String
    var role: ClusterHost.Role
    var status: HostStatus?
    /// Why there is none.
    var error: String?
  }

  var cluster: String
  var hosts: [Host]
  /// Nil while nobody knows.
  var run: RunStatus?
}

extension ClusterStatus: StatusDocument {}
extension HostStatus: StatusDocument {}
