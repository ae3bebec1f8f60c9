import ArgumentParser
import Foundation
import Messages
import Services
import Threads
import Wire

/// How a process that connects shows who it is, and knows whom it talks to.
package struct PeerSecurityOptions: ParsableArguments {
  @Option(help: ArgumentHelp("This process's key pair, from 'massl keygen'.", valueName: "file"))
  package var key: String?

  @Option(help: ArgumentHelp("The coordinator's public key: 64 hexadecimal digits.", valueName: "key"))
  package var coordinatorKey: String?

  @Flag(help: "Talk to another machine without encryption: anyone on the network can read and write.")
  package var insecure = false

  package init() {}

  package func validate() throws {
    if (key == nil) != (coordinatorKey == nil) {
      throw ValidationError("--key and --coordinator-key go together: who this is, and whom it trusts.")
    }
    if let coordinatorKey, PublicKey(coordinatorKey) == nil {
      throw ValidationError("--coordinator-key '\(coordinatorKey)' is no public key of 64 hexadecimal digits.")
    }
  }

  /// May ask a name server before it says that keys are needed.
  /// - Throws: `WireError` of the key file, or where keys are needed and not given, or the name is unknown.
  func security(for endpoint: Endpoint) throws -> Security<ClientKeys> {
    var keys: ClientKeys?
    if let key, let server = coordinatorKey.flatMap({ PublicKey($0) }) {
      keys = ClientKeys(own: try KeyPair(contentsOf: key), server: server)
    }
    do throws(WireError) {
      return try .decide(for: endpoint, keys: keys, insecure: insecure)
    } catch {
      // Of a name that is mistyped nobody needs to know first that it could be another machine's.
      if case .keysRequired = error { _ = try endpoint.addresses() }
      throw error
    }
  }
}

/// How a coordinator shows who it is, and whom it lets in.
package struct CoordinatorSecurityOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The coordinator's key pair, from 'massl keygen'.", valueName: "file"))
  package var key: String?

  @Option(
    help: ArgumentHelp("Public keys that may connect, one a line; read again when it changes.", valueName: "file"))
  package var allowedKeys: String?

  @Flag(help: "Listen to other machines without encryption: anyone on the network can read and write.")
  package var insecure = false

  package init() {}

  package func validate() throws {
    if (key == nil) != (allowedKeys == nil) {
      throw ValidationError("--key and --allowed-keys go together: who this is, and who may connect.")
    }
  }

  /// - Throws: `WireError` of the key files, or where keys are needed and not given.
  func security(for endpoint: Endpoint, log: @escaping ServiceLog) throws -> Security<ServerKeys> {
    try listeningSecurity(for: endpoint, key: key, allowedKeys: allowedKeys, insecure: insecure, log: log)
  }

  /// The flags with which a process of this machine shows the coordinator its own key.
  func asPeer() throws -> [String] {
    let keys = try key.map { ["--key", $0, "--coordinator-key", "\(try KeyPair(contentsOf: $0).publicKey)"] }
    return (keys ?? []) + (insecure ? ["--insecure"] : [])
  }
}

/// Between looks at a file of allowed keys.
private let allowedKeysPause = 1.0

/// How a process listens: a coordinator, or a memory shard.
///
/// Keys that come into the file of allowed ones later, or leave it, count from then on: a thread sees to that.
/// - Parameters:
///   - key: file of its own key pair.
///   - allowedKeys: file of the keys that may connect.
/// - Throws: `WireError` of the key files, or where keys are needed and not given.
func listeningSecurity(
  for endpoint: Endpoint, key: String?, allowedKeys: String?, insecure: Bool, log: @escaping ServiceLog
) throws -> Security<ServerKeys> {
  guard let key, let allowedKeys else { return try .decide(for: endpoint, keys: nil, insecure: insecure) }
  let pair = try KeyPair(contentsOf: key)
  let file = try AllowedKeysFile(allowedKeys, own: pair.publicKey)
  let keys = ServerKeys(own: pair, allowed: file.keys)
  let security = try Security.decide(for: endpoint, keys: keys, insecure: insecure)
  startThread(named: "massl-keyfile") {
    while true {
      Thread.sleep(forTimeInterval: allowedKeysPause)
      do {
        guard let change = try file.refresh() else { continue }
        log(.info, "Read \(file.path) again: \(change.added) keys more are allowed, \(change.removed) no longer.")
      } catch {
        log(.warning, "The keys that were allowed before still are: \(error)")
      }
    }
  }
  return security
}
