import Machine
import Messages
import Wire

extension Context {
  /// With as many threads for input and output as bulk traffic may take of the processors that this process may use.
  /// - Throws: `WireError.tooFewDescriptors`, `.tooFewThreads` when the process is out of them.
  convenience init(encrypting isEncrypted: Bool) throws(WireError) {
    try self.init(
      ioThreads: isEncrypted ? EncryptedTraffic.threads(processors: Allowance.current.processors.usable) : 1)
  }
}
