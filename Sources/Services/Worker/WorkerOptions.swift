import Configuration
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
  /// What the run's products multiply.
  public var precision: PrecisionName
  /// The digest of this machine's probe slice, in that precision.
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
  /// How other workers reach this one, to fetch weights from it; nil: they do not.
  public var serving: Serving?

  public init(
    coordinator: Endpoint, data: String?, threads: Int, security: Security<ClientKeys>,
    precision: PrecisionName = .fp32, probe: Digest, name: String, host: String? = nil,
    rowCacheBytes: Int = Self.rowCacheBytes,
    givesUpAfter: Duration? = nil, serving: Serving? = nil
  ) {
    self.coordinator = coordinator
    self.data = data
    self.threads = threads
    self.security = security
    self.precision = precision
    self.probe = probe
    self.name = name
    self.host = host ?? name
    self.rowCacheBytes = rowCacheBytes
    self.givesUpAfter = givesUpAfter
    self.serving = serving
  }
}

extension WorkerOptions {
  /// Where a worker gives weights to others.
  public struct Serving: Sendable {
    /// A free port if the port is 0.
    public var listen: Endpoint
    /// Where others reach it, if that is not where it listens; a port of 0 stands for the one that was taken.
    public var advertised: Endpoint?
    /// Towards who asks.
    public var security: Security<ServerKeys>

    public init(listen: Endpoint, advertised: Endpoint? = nil, security: Security<ServerKeys>) {
      self.listen = listen
      self.advertised = advertised
      self.security = security
    }
  }
}
