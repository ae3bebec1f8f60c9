import Messages
import Numerics
import Wire

/// What a worker is started with.
public struct WorkerOptions: Sendable {
  public var coordinator: Endpoint
  /// A folder with the run's pictures, if this machine has one.
  public var data: String?
  /// Slices computed at once, 1...1024.
  public var threads: Int
  public var security: Security<ClientKeys>
  /// The digest of this machine's probe slice.
  public var probe: Digest
  /// For people.
  public var name: String
  /// The machine that it runs on.
  public var host: String
  /// Of RAM for memory rows, unless told otherwise.
  public static let rowCacheBytes = 4 << 30
  /// Bytes of RAM for memory rows, so that each crosses the wire once; with less than the memory's, the newest fetched
  /// are kept. 0: none.
  public var rowCacheBytes: Int
  /// Silence after which the coordinator is given up, for it may be found elsewhere; nil: never.
  public var givesUpAfter: Duration?

  public init(
    coordinator: Endpoint, data: String?, threads: Int, security: Security<ClientKeys>, probe: Digest, name: String,
    host: String? = nil, rowCacheBytes: Int = Self.rowCacheBytes, givesUpAfter: Duration? = nil
  ) {
    self.coordinator = coordinator
    self.data = data
    self.threads = threads
    self.security = security
    self.probe = probe
    self.name = name
    self.host = host ?? name
    self.rowCacheBytes = rowCacheBytes
    self.givesUpAfter = givesUpAfter
  }
}
