import ArgumentParser
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

  /// - Throws: `WireError` of the key file, or where keys are needed and not given.
  func security(for endpoint: Endpoint) throws -> Security<ClientKeys> {
    var keys: ClientKeys?
    if let key, let server = coordinatorKey.flatMap({ PublicKey($0) }) {
      keys = ClientKeys(own: try KeyPair(contentsOf: key), server: server)
    }
    return try .decide(for: endpoint, keys: keys, insecure: insecure)
  }
}

/// How a coordinator shows who it is, and whom it lets in.
package struct CoordinatorSecurityOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The coordinator's key pair, from 'massl keygen'.", valueName: "file"))
  package var key: String?

  @Option(help: ArgumentHelp("Public keys that may connect, one a line.", valueName: "file"))
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
  func security(for endpoint: Endpoint) throws -> Security<ServerKeys> {
    var keys: ServerKeys?
    if let key, let allowedKeys {
      keys = ServerKeys(own: try KeyPair(contentsOf: key), allowed: AllowedKeys(try AllowedKeys.read(allowedKeys)))
    }
    return try .decide(for: endpoint, keys: keys, insecure: insecure)
  }
}
