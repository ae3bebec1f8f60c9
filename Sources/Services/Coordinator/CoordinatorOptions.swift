import Configuration
import Coordination
import MemoryBank
import Messages
import Numerics
import Wire

/// What a coordinator is started with.
public struct CoordinatorOptions: Sendable {
  /// Folder of the pictures.
  public var data: String
  /// The run directory; resumed if it holds a run.
  public var run: String
  /// Values given by recipe and flags; on resuming only what they say is compared with the run.
  public var layers: [ConfigurationLayer]
  /// A file of the weights that a new run begins with; nil: they are drawn.
  public var initialWeights: String?
  /// What a new run is born with where its settings leave the class to massl: this process's.
  public var computeClass: ComputeClassName
  /// Keys that a resumed run shall have other values of from now on (`--change`).
  public var changes: ConfigurationLayer
  /// Of the control socket; the bulk socket takes the port above it, or any free one if this port is 0.
  public var listen: Endpoint
  public var security: Security<ServerKeys>
  /// The digest of this machine's probe slice; workers must have the same. Nil where it cannot compute in the run's class.
  public var probe: Digest?
  /// Accept workers of another compute class.
  public var allowsMixed: Bool
  /// Bytes of RAM for the memory's newest rows; others are read from files.
  public var rowCacheBytes: Int
  /// Rows that no memory shard has any more become seeded ones (`--forget-lost-rows`).
  public var forgetsLostRows = false

  public init(
    data: String, run: String, layers: [ConfigurationLayer], computeClass: ComputeClassName,
    changes: ConfigurationLayer = ConfigurationLayer(), listen: Endpoint, security: Security<ServerKeys>,
    probe: Digest?,
    allowsMixed: Bool = false,
    rowCacheBytes: Int = RowStore.cacheBytes
  ) {
    self.data = data
    self.run = run
    self.layers = layers
    self.computeClass = computeClass
    self.changes = changes
    self.listen = listen
    self.security = security
    self.probe = probe
    self.allowsMixed = allowsMixed
    self.rowCacheBytes = rowCacheBytes
  }
}

extension CoordinatorOptions {
  /// Towards memory shards, when an extent is fetched back from one; each has a public key of its own.
  var shardSecurity: Security<ClientKeys> {
    switch security {
    case .none(let reason): .none(reason)
    case .curve(let keys): .curve(ClientKeys(own: keys.own, server: keys.own.publicKey))
    }
  }
}

/// Takes one line of the log, from any thread.
public typealias ServiceLog = @Sendable (LogLevel, String) -> Void
