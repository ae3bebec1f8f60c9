/// How a service is on its machine, as `massl service status` says it.
public struct HostStatus: Codable, Equatable, Sendable {
  public enum State: String, Codable, Sendable {
    /// Its process runs.
    case running
    /// Its process ended, and is started again in a moment.
    case restarting
    /// Its process ended in a way that no start mends, or is done.
    case ended
    /// Somebody stopped it.
    case stopped
    /// It should run, and nobody looks after it: the machine, or its supervisor, was killed.
    case down
  }

  public var name: String
  public var role: ClusterHost.Role
  public var state: State
  /// The process's number.
  public var process: Int?
  /// How often the process was started by the present supervisor.
  public var starts: Int
  /// "exit code 75", of the process before.
  public var lastEnd: String?
  /// The exit code of a process that is not started again.
  public var exitCode: Int?
  public var version: String
  /// Of a coordinator.
  public var run: String?
  public var publicKey: String?
  /// The newest line of its log.
  public var log: String?

  public init(
    name: String, role: ClusterHost.Role, state: State, process: Int?, starts: Int, lastEnd: String?, exitCode: Int?,
    version: String, run: String?, publicKey: String?, log: String?
  ) {
    self.name = name
    self.role = role
    self.state = state
    self.process = process
    self.starts = starts
    self.lastEnd = lastEnd
    self.exitCode = exitCode
    self.version = version
    self.run = run
    self.publicKey = publicKey
    self.log = log
  }
}

/// What `massl service key` says: who the machine is, and whom it lets in.
public struct HostKey: Codable, Equatable, Sendable {
  public var publicKey: String
  /// The text of its file of allowed keys; empty if there is none yet.
  public var allowedKeys: String

  public init(publicKey: String, allowedKeys: String) {
    self.publicKey = publicKey
    self.allowedKeys = allowedKeys
  }
}
