import Messages
import Numerics
import Synchronization
import Wire

/// Where other workers reach a worker: open for as long as its process, whichever run and coordinator it works for.
package final class WeightsSocket: Sendable {
  /// What its peers are told to ask at.
  package let address: BulkAddress
  private let serving: Served
  private let thread: SocketThread

  /// What the socket's thread looks at, so that it does not hold this.
  private final class Served: Sendable {
    let now = Mutex<WeightsServing?>(nil)
  }

  /// - Throws: `WireError` of the socket.
  package init(in context: Context, _ options: WorkerOptions.Serving, log: ServiceLog) throws {
    let socket = try RouterSocket(
      in: context, listeningOn: options.listen, for: .bulk, security: options.security,
      connectionsAtMost: Self.connections)
    for error in socket.unbound { log(.warning, "\(error)") }
    var endpoint = options.advertised ?? socket.endpoint
    if endpoint.port == 0 { endpoint = endpoint.withPort(socket.endpoint.port) }
    let key: PublicKey? = if case .curve(let keys) = options.security { keys.own.publicKey } else { nil }
    address = BulkAddress(endpoint: endpoint.onThisMachine, key: key)
    let serving = Served()
    self.serving = serving
    thread = try SocketThread(
      named: "massl-weights", owning: socket, outboxCapacity: 1, tick: WeightsServing.tick
    ) { event, socket in
      serving.now.withLock { $0 }?.handle(event, socket)
    }
  }

  /// The worker's own connections find as many places.
  private static var connections: Int { max(1, ProcessLimits.connections / 2) }

  /// From now on this answers; nil: nobody does.
  package func serve(_ serving: WeightsServing?) { self.serving.now.withLock { $0 = serving } }

  package func stop() {
    serve(nil)
    thread.stop()
  }
}
