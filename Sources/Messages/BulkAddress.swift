/// Where the bulk socket of a shard or a worker can be reached, by workers and by other shards.
public struct BulkAddress: Hashable, Sendable {
  public var endpoint: Endpoint
  /// The public key of who listens there; nil where it does without encryption.
  public var key: PublicKey?
  public init(endpoint: Endpoint, key: PublicKey? = nil) {
    self.endpoint = endpoint
    self.key = key
  }
}
