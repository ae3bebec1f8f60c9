/// The machines of a run, as a hosts file names them.
public struct Cluster: Equatable, Sendable {
  /// Tells runs apart on machines that take part in several: a folder's name.
  public let name: String
  /// In the file's order; one coordinator, and no two of one name.
  public let hosts: [ClusterHost]

  /// - Precondition: one of the hosts is a coordinator.
  init(name: String, hosts: [ClusterHost]) {
    self.name = name
    self.hosts = hosts
  }

  public var coordinator: ClusterHost { hosts.first { $0.role == .coordinator }! }

  /// Where workers and shards find the coordinator.
  public var coordinatorAddress: String { coordinator.endpoint(port: coordinator.port ?? Self.controlPort) }

  /// Of the coordinator, where the file names none.
  public static let controlPort = 5570
}

/// A process on a machine that ssh reaches.
public struct ClusterHost: Equatable, Sendable {
  public enum Role: String, CaseIterable, Codable, Sendable {
    case coordinator, worker, memory
  }

  /// What it is called in words, logs, audits and folders.
  public let name: String
  /// What ssh is told: a name, an address, or an alias of its configuration.
  public let host: String
  /// As whom; nil leaves it to ssh.
  public let user: String?
  public let role: Role
  /// Where the other machines reach it: a name or an address.
  public let address: String
  /// Where it listens: of a coordinator the control port, with the bulk port above it; nil for the usual one of a
  /// coordinator, any free one of others.
  public let port: Int?
  /// Of a worker; nil for one a processor.
  public let threads: Int?
  /// Of a memory shard, as `massl memory --capacity` takes it.
  public let storage: String?
  /// Of a worker: where it has the run's pictures.
  public let data: String?
  /// Of massl on that machine; nil to be given the launcher's own.
  public let program: String?

  /// `tcp://ADDRESS:PORT`.
  func endpoint(port: Int) -> String { "tcp://\(address.contains(":") ? "[\(address)]" : address):\(port)" }

  /// All of this machine's addresses, of its address's kind.
  func everywhere(port: Int) -> String { "tcp://\(address.contains(":") ? "[::]" : "0.0.0.0"):\(port)" }
}
