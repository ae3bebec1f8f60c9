import Messages
import Numerics
import Synchronization
import Wire

/// A connection to each place that rows come from, made when it is first asked for.
final class SourceClients: Sendable {
  private let context: Context
  private let sender: Sender
  /// The coordinator's bulk socket.
  private let coordinator: Endpoint
  /// The address of the coordinator's other port, which answers; nil within the coordinator.
  private let control: Endpoint?
  private let security: Security<ClientKeys>
  private let complain: @Sendable (String) -> Void
  private let state = Mutex(State())

  private struct State: Sendable {
    var clients: [BulkAddress?: BulkClient] = [:]
    var isStopped = false
  }

  /// - Parameter complain: takes it if no connection to the coordinator comes about.
  init(
    context: Context, sender: Sender, coordinator: Endpoint, control: Endpoint? = nil, security: Security<ClientKeys>,
    complain: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.control = control
    self.complain = complain
    self.context = context
    self.sender = sender
    self.coordinator = coordinator
    self.security = security
  }

  /// - Throws: `WireError` for an address that can never be reached; `BulkError.unanswered` once stopped.
  func client(of source: ExtentSource) throws -> BulkClient {
    switch source {
    case .coordinator: try client(at: nil)
    case .shard(let address): try client(at: address)
    }
  }

  private func client(at address: BulkAddress?) throws -> BulkClient {
    try state.withLock { state in
      guard !state.isStopped else { throw BulkError.unanswered(nil) }
      if let client = state.clients[address] { return client }
      let client =
        try address.map {
          try BulkClient(context: context, sender: sender, endpoint: $0.endpoint, security: security.towards($0))
        }
        ?? BulkClient(
          context: context, sender: sender, endpoint: coordinator, control: control, security: security,
          complain: complain)
      state.clients[address] = client
      return client
    }
  }

  /// Ends all connections, for good; whoever waits for an answer gets an error.
  func stop() {
    let all = state.withLock { state in
      defer { state = State(isStopped: true) }
      return state.clients
    }
    for client in all.values { client.stop() }
  }
}

extension Security<ClientKeys> {
  /// Towards a shard or a worker, which has a key of its own; who we are is the same for all.
  func towards(_ address: BulkAddress) -> Security {
    guard case .curve(let keys) = self, let key = address.key else { return self }
    return .curve(ClientKeys(own: keys.own, server: key))
  }
}
