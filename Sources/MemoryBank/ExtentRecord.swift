import Numerics

/// What a whole extent holds, whoever holds it: where the chain over all rows (`MemoryDigest`) stood before its first
/// row and after its last. A copy is that extent if its rows lead the chain from the one to the other.
public struct ExtentRecord: Hashable, Sendable, Codable {
  public let index: Int
  public let before: Digest
  public let after: Digest

  public init(index: Int, before: Digest, after: Digest) {
    self.index = index
    self.before = before
    self.after = after
  }

  /// Tells this content from any other of the same extent: the low half of `after`, and never 0.
  public var mark: UInt64 { Self.mark(of: after) }

  /// The mark of an extent that leaves the chain there.
  public static func mark(of after: Digest) -> UInt64 { after.low == 0 ? 1 : after.low }
}
