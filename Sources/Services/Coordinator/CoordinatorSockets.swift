import Coordination
import Messages
import Wire

/// The two sockets that a coordinator listens on.
struct CoordinatorSockets: Sendable {
  let context: Context
  let control: RouterSocket
  let bulk: RouterSocket

  /// - Parameter payloadBytes: of all payloads that may be on their way at once.
  /// - Throws: `WireError`.
  init(_ options: CoordinatorOptions, payloadBytes: Int, log: ServiceLog) throws {
    context = try Context(encrypting: options.security.isEncrypted)
    control = try RouterSocket(
      in: context, listeningOn: options.listen, for: .control, security: options.security,
      connectionsAtMost: Self.controlConnections)
    let port = options.listen.port == 0 || options.listen.port == 65_535 ? 0 : options.listen.port + 1
    bulk = try Self.bulkSocket(in: context, options, port: port, payloadBytes: payloadBytes)
    for error in control.unbound + bulk.unbound { log(.warning, "\(error)") }
  }

  /// A worker has one connection for control and two for bulk.
  private static var controlConnections: Int { max(1, ProcessLimits.connections / 3) }

  /// Some of the places are for those that are told that there is none, and for whoever asks for the status.
  static var workersAtMost: Int { max(1, min(CoordinationLimits.peers, controlConnections * 3 / 4)) }

  /// Within a machine, where no firewall has to know the port, it may be any if another program has this one: a port
  /// that the system chose for the control socket may have any neighbour the next time.
  private static func bulkSocket(
    in context: Context, _ options: CoordinatorOptions, port: Int, payloadBytes: Int
  ) throws(WireError) -> RouterSocket {
    func socket(_ port: Int) throws(WireError) -> RouterSocket {
      try RouterSocket(
        in: context, listeningOn: options.listen.withPort(port), for: .bulk, security: options.security,
        connectionsAtMost: ProcessLimits.connections - controlConnections, payloadBytes: payloadBytes)
    }
    do {
      return try socket(port)
    } catch .addressInUse where options.listen.isLoopback {
      return try socket(0)
    }
  }
}
