import Printing

/// Why the machines of a run, or one of them, cannot be used: which, and what to do.
public enum LaunchError: Error, Equatable {
  // Of a hosts file.
  case unreadable(file: String, reason: String)
  case malformed(file: String, line: Int?, reason: String)
  case unknownKey(String, nearest: String?, allowed: [String], file: String, line: Int?)
  case unknownRole(String, nearest: String?, host: String, file: String, line: Int?)
  case wrongValue(key: String, value: String, allowed: String, host: String?, file: String, line: Int?)
  case missingKey(String, host: String?, file: String, line: Int?)
  case keyOfOtherRole(
    String, owner: ClusterHost.Role, role: ClusterHost.Role, host: String, file: String, line: Int?)
  case repeatedName(String, file: String, lines: [Int])
  /// Names of the coordinators in it: none, or more than one.
  case coordinators([String], file: String)
  case noSuchHost(String, nearest: String?, file: String)
  case coordinatorStays(String)

  // Of one machine.
  case noSSH
  case unreachable(host: String, SSHFailure)
  /// What massl, or the shell, said there.
  case failed(host: String, words: String)
  case otherMachine(host: String, found: String, own: String)
  case missingLibraries(host: String, [String])
  case otherVersion(host: String, found: String, own: String)
  case noProgram(host: String, path: String)
  case notStarted(host: String)
  case unreadableAnswer(host: String)
  /// A host that no coordinator hears, and its newest log line.
  case unheard(host: String, log: String?)
  /// A worker that the coordinator hears, and that reaches its first port alone.
  case cutOff(host: String, log: String)
  /// A coordinator that does not answer yet.
  case silent(host: String, log: String?)
  case ended(host: String, code: Int?, log: String?)
  /// Somebody stopped it.
  case stopped(host: String)
}

extension LaunchError {
  /// Which machine it is about; nil where it is the hosts file.
  public var host: String? {
    switch self {
    case .unreachable(let host, _), .failed(let host, _), .otherMachine(let host, _, _), .missingLibraries(let host, _),
      .otherVersion(let host, _, _), .noProgram(let host, _), .notStarted(let host), .unreadableAnswer(let host),
      .unheard(let host, _), .cutOff(let host, _), .silent(let host, _), .ended(let host, _, _), .stopped(let host):
      host
    default: nil
    }
  }
}

extension LaunchError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unreadable(let file, let reason): "Cannot read the hosts file \(file.printable): \(reason.printable)."
    case .malformed(let file, let line, let reason):
      "\(Self.place(file, line)) is no hosts file: \(reason.printable). Cluster/ssh/README.md shows one."
    case .unknownKey(let key, let nearest, let allowed, let file, let line):
      "\(Self.place(file, line)): there is no key '\(key.printable)'. "
        + (nearest.map { "Did you mean \($0)?" } ?? "There are: \(allowed.joined(separator: ", ")).")
    case .unknownRole(let role, let nearest, let host, let file, let line):
      "\(Self.place(file, line)): \(host.printable) has the role '\(role.printable)', which there is not. "
        + (nearest.map { "Did you mean \($0)?" } ?? "There are: coordinator, worker, memory.")
    case .wrongValue(let key, let value, let allowed, let host, let file, let line):
      "\(Self.place(file, line)): \(key)\(host.map { " of \($0.printable)" } ?? "") must be \(allowed), not "
        + "'\(value.printable)'."
    case .missingKey(let key, let host, let file, let line):
      "\(Self.place(file, line)): \(host.map { "\($0.printable) needs" } ?? "it needs") a key '\(key)'."
    case .keyOfOtherRole(let key, let owner, let role, let host, let file, let line):
      "\(Self.place(file, line)): \(key) is of a \(owner.rawValue), and \(host.printable) is a \(role.rawValue). Take it out."
    case .repeatedName(let name, let file, let lines):
      "\(file.printable): two hosts are called \(name.printable)"
        + (lines.isEmpty ? "" : " (lines \(lines.map(String.init).joined(separator: " and ")))")
        + ". Give one of them another 'name', or take it out."
    case .coordinators(let names, let file):
      names.isEmpty
        ? "\(file.printable): no host has the role coordinator. One must."
        : "\(file.printable): \(names.joined(separator: " and ").printable) are coordinators. A run has one."
    case .noSuchHost(let name, let nearest, let file):
      "\(file.printable) has no host '\(name.printable)'. "
        + (nearest.map { "Did you mean \($0.printable)?" } ?? "Add it there first.")
    case .coordinatorStays(let name):
      "\(name.printable) is the run's coordinator and stays. massl launch stop ends the run."
    case .noSSH: "There is no ssh on this machine. Install it (Debian: openssh-client)."
    case .unreachable(let host, let failure): "\(host.printable): \(failure)"
    case .failed(let host, let words): "\(host.printable): \(words.printable)"
    case .otherMachine(let host, let found, let own):
      "\(host.printable): it is \(found.printable), and this massl is for \(own). Build massl there and give its path as "
        + "'program'."
    case .missingLibraries(let host, let libraries):
      "\(host.printable): massl needs libraries that are not there: \(libraries.joined(separator: ", ").printable). "
        + LibraryPackages.advice(for: libraries)
    case .otherVersion(let host, let found, let own):
      "\(host.printable): it has massl \(found.printable), and this is massl \(own.printable). Take 'program' out of the hosts "
        + "file to have this one copied, or install the same version."
    case .noProgram(let host, let path):
      "\(host.printable): there is no program \(path.printable). Mend 'program' in the hosts file, or take it out to have "
        + "this massl copied."
    case .notStarted(let host):
      "\(host.printable): nothing of this cluster was started there. massl launch start, or add, does it."
    case .unreadableAnswer(let host):
      "\(host.printable): its answer cannot be read. Is another version of massl there? massl launch start brings this one."
    case .unheard(let host, let log):
      "\(host.printable): it was started, and the coordinator does not hear it. "
        + Self.words(log)
    case .cutOff(let host, let log):
      "\(host.printable): the coordinator hears it, and it has nothing to compute with. \(Self.words(log))"
    case .silent(let host, let log):
      "\(host.printable): it was started, and does not answer yet. \(Self.words(log))"
    case .ended(let host, let code, let log):
      "\(host.printable): its process ended\(code.map { " with exit code \($0)" } ?? ""), and is not started again. "
        + Self.words(log)
    case .stopped(let host): "\(host.printable): it is stopped. massl launch start goes on with the run."
    }
  }

  private static func words(_ log: String?) -> String {
    log.map { "It says: \($0.printable)" } ?? "It has said nothing yet."
  }

  private static func place(_ file: String, _ line: Int?) -> String {
    file.printable + (line.map { ", line \($0)" } ?? "")
  }
}
