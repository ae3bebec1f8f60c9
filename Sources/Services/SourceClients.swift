import Numerics
import Synchronization
import Wire

/// A connection to each place that rows come from, made when it is first asked for.
final class SourceClients: Sendable {
  private let context: Context
  private let sender: Sender
  /// The coordinator's bulk socket.
  private let coordinator: Endpoint
  private let security: Security<ClientKeys>
  private let clients = Mutex<[ShardAddress?: BulkClient]>([:])

  init(context: Context, sender: Sender, coordinator: Endpoint, security: Security<ClientKeys>) {
    self.context = context
    self.sender = sender
    self.coordinator = coordinator
    self.security = security
  }

  /// - Throws: `WireError` for an address that can never be reached, or one whose encryption differs from our own.
  func client(of source: ExtentSource) throws -> BulkClient {
    switch source {
    case .coordinator: try client(at: nil)
    case .shard(let address): try client(at: address)
    }
  }

  private func client(at address: ShardAddress?) throws -> BulkClient {
    try clients.withLock { clients in
      if let client = clients[address] { return client }
      let client = try BulkClient(
        context: context, sender: sender, endpoint: address?.endpoint ?? coordinator, security: security(for: address))
      clients[address] = client
      return client
    }
  }

  /// A shard has a key of its own; who we are is the same for all.
  private func security(for address: ShardAddress?) -> Security<ClientKeys> {
    guard let address, case .curve(let keys) = security, let key = address.key else { return security }
    return .curve(ClientKeys(own: keys.own, server: key))
  }

  /// Ends all connections; whoever waits for an answer gets an error.
  func stop() {
    let all = clients.withLock { clients in
      defer { clients = [:] }
      return clients
    }
    for client in all.values { client.stop() }
  }
}
