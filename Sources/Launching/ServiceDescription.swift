/// A process that is to be kept running on a machine.
public struct ServiceDescription: Codable, Equatable, Sendable {
  public var formatVersion = 1
  public var cluster: String
  public var name: String
  public var role: ClusterHost.Role
  /// From the root on.
  public var program: String
  /// Of massl.
  public var arguments: [String]

  public init(cluster: String, name: String, role: ClusterHost.Role, program: String, arguments: [String]) {
    self.cluster = cluster
    self.name = name
    self.role = role
    self.program = program
    self.arguments = arguments
  }
}

/// What a launcher hands to `massl service start`: the process, and the files beside it.
public struct ServiceOrder: Codable, Equatable, Sendable {
  public var service: ServiceDescription
  /// The text of `allowed.txt`.
  public var allowedKeys: String
  /// The text of `recipe.yaml`; nil without one.
  public var recipe: String?

  public init(service: ServiceDescription, allowedKeys: String, recipe: String?) {
    self.service = service
    self.allowedKeys = allowedKeys
    self.recipe = recipe
  }
}

// MARK: - What each machine runs

/// A run's own words for its coordinator.
public struct RunArguments: Equatable, Sendable {
  /// Of the coordinator's machine; from its home folder on, unless from the root.
  public var data: String
  public var run: String
  /// A file that a new run's weights are of, there too; nil if they are drawn.
  public var initialWeights: String?
  /// Flags of the run, without `--config`.
  public var flags: [String]
  /// Whether there is a recipe beside the key.
  public var hasRecipe: Bool

  public init(data: String, run: String, initialWeights: String? = nil, flags: [String], hasRecipe: Bool) {
    self.data = data
    self.run = run
    self.initialWeights = initialWeights
    self.flags = flags
    self.hasRecipe = hasRecipe
  }
}

extension Cluster {
  /// The arguments of massl on one of the machines.
  /// - Parameters:
  ///   - home: the home folder there.
  ///   - coordinatorKey: the coordinator's public key.
  ///   - run: for the coordinator.
  public func arguments(
    of host: ClusterHost, home: String, coordinatorKey: String, run: RunArguments
  ) -> [String] {
    let folder = "\(home)/\(HostFolder.path(of: host, in: self))"
    let keys = ["--key", "\(folder)/key", "--allowed-keys", "\(folder)/allowed.txt"]
    func path(_ text: String) -> String { text.hasPrefix("/") ? text : "\(home)/\(text)" }
    if host.role == .coordinator {
      return ["coordinator", "--data", path(run.data), "--run", path(run.run)]
        + ["--listen", host.everywhere(port: host.port ?? Self.controlPort)] + keys
        + (run.initialWeights.map { ["--init", path($0)] } ?? [])
        + (run.hasRecipe ? ["--config", "\(folder)/recipe.yaml"] : []) + run.flags
    }
    let port = host.port ?? 0
    let peer =
      ["--coordinator", coordinatorAddress, "--coordinator-key", coordinatorKey] + keys
      + ["--listen", host.everywhere(port: port), "--advertise", host.endpoint(port: port), "--host", host.name]
    switch host.role {
    case .memory:
      return ["memory", "--directory", "\(folder)/rows", "--capacity", host.storage ?? "0"] + peer
    case .worker, .coordinator:
      return ["worker"] + peer + (host.threads.map { ["--threads", "\($0)"] } ?? [])
        + (host.data.map { ["--data", path($0)] } ?? [])
    }
  }
}
