import Messages

/// Connections to other workers: to those that are named, as far as they can be connected to, and to no others. Belongs to
/// one thread.
struct WorkerClients {
  private let connect: (BulkAddress) throws -> BulkClient
  private var clients: [BulkAddress: BulkClient] = [:]

  init(connect: @escaping (BulkAddress) throws -> BulkClient) { self.connect = connect }

  /// Nil for who is not named, or cannot be connected to.
  subscript(address: BulkAddress) -> BulkClient? { clients[address] }

  /// Ends connections to all others.
  mutating func keep(_ named: Set<BulkAddress>) {
    for (address, client) in clients where !named.contains(address) {
      client.stop()
      clients[address] = nil
    }
    for address in named where clients[address] == nil { clients[address] = try? connect(address) }
  }

  mutating func stop() { keep([]) }
}
