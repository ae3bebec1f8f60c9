import Messages
import Wire

/// What a memory shard is started with.
public struct MemoryOptions: Sendable {
  public var coordinator: Endpoint
  /// Of this shard alone; its rows and identity are found here again.
  public var directory: String
  /// Bytes of files that it offers.
  public var capacity: Int
  /// Where it serves rows; a free port if the port is 0.
  public var listen: Endpoint
  /// Where workers and other shards reach it, if that is not where it listens; a port of 0 stands for the one that was
  /// taken.
  public var advertised: Endpoint?
  /// For people; shards of one name are taken to fail together.
  public var name: String
  /// Towards the coordinator, and towards shards that rows are copied from.
  public var security: Security<ClientKeys>
  /// Towards whoever asks for rows.
  public var serving: Security<ServerKeys>
  /// Silence after which the coordinator is given up, for it may be found elsewhere; nil: never.
  public var givesUpAfter: Duration?

  public init(
    coordinator: Endpoint, directory: String, capacity: Int, listen: Endpoint, advertised: Endpoint? = nil,
    name: String, security: Security<ClientKeys>, serving: Security<ServerKeys>, givesUpAfter: Duration? = nil
  ) {
    self.coordinator = coordinator
    self.directory = directory
    self.capacity = capacity
    self.listen = listen
    self.advertised = advertised
    self.name = name
    self.security = security
    self.serving = serving
    self.givesUpAfter = givesUpAfter
  }
}
