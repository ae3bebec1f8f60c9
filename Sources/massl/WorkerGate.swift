import Messages
import Services
import Wire

/// Where a worker lets other workers in, and which: worked out anew for each coordinator that it finds.
final class WorkerGate {
  private let listen: Endpoint?
  private let advertised: Endpoint?
  private let isClosed: Bool
  private let security: PeerSecurityOptions
  private let allowedKeys: String?
  private let log: ServiceLog
  /// Of the file of allowed keys, which one thread reads again and again.
  private var keys: ServerKeys?

  /// - Parameters:
  ///   - listen: as `--listen` says; nil for the address towards the coordinator.
  ///   - isClosed: nobody is let in.
  init(
    listen: Endpoint?, advertised: Endpoint?, isClosed: Bool, security: PeerSecurityOptions, allowedKeys: String?,
    log: @escaping ServiceLog
  ) {
    self.listen = listen
    self.advertised = advertised
    self.isClosed = isClosed
    self.security = security
    self.allowedKeys = allowedKeys
    self.log = log
  }

  /// Nil where nobody is to come, or could: beside a coordinator of this machine alone, with a key where nobody else's is
  /// allowed, and where the address towards the coordinator is not known just now.
  /// - Throws: `WireError` of the key files, or where keys are needed and not given.
  func serving(towards coordinator: Endpoint) throws -> WorkerOptions.Serving? {
    if isClosed || coordinator.isLoopback && listen == nil { return nil }
    // A name server that does not answer any more is no reason to work for nobody.
    let own = try? coordinator.localAddress()
    guard let listen = listen ?? own?.withPort(0) else { return nil }
    if security.key != nil, !security.insecure, allowedKeys == nil {
      log(
        .info,
        "Gives no weights to other workers: with --key it takes --allowed-keys, a file of the keys that may ask.")
      return nil
    }
    // Where it listens at all addresses, others reach it at the one towards the coordinator.
    let reached = listen.onThisMachine == listen ? nil : own?.withPort(listen.port)
    return WorkerOptions.Serving(
      listen: listen, advertised: advertised ?? reached, security: try listeningSecurity(for: listen))
  }

  private func listeningSecurity(for listen: Endpoint) throws -> Security<ServerKeys> {
    if let keys { return .curve(keys) }
    let security = try massl.listeningSecurity(
      for: listen, key: security.key, allowedKeys: allowedKeys, insecure: security.insecure, log: log)
    if case .curve(let keys) = security { self.keys = keys }
    return security
  }
}
